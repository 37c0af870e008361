// Interning of nodes: the table of all that exist, their hashes, and the counts of their references.
#include <pthread.h>

#include <bit>
#include <mutex>
#include <unordered_set>

#include "expr/node.h"
#include "expr/op.h"

namespace matgrad::expr {
namespace {

/// A hash made from numbers and strings in order; the finaliser is that of SplitMix64 (Steele, Lea, Flood, 2014).
class Hasher {
 public:
  Hasher& add(uint64_t value) {
    uint64_t z = state_ + 0x9e3779b97f4a7c15 + value;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    state_ = z ^ (z >> 31);
    return *this;
  }
  Hasher& add(double value) { return add(std::bit_cast<uint64_t>(value == 0 ? 0.0 : value)); }
  Hasher& add(std::string_view text) {
    add(uint64_t(text.size()));
    for (char c : text) add(uint64_t(uint8_t(c)));
    return *this;
  }
  Hasher& add(const Expr& e) { return add(e ? e->hash : 0); }
  Hasher& add(const SliceBounds& bounds) {
    for (const auto& bound : {bounds.start, bounds.stop})
      add(uint64_t(bound.has_value())).add(uint64_t(bound.value_or(0)));
    return add(uint64_t(bounds.step));
  }
  uint64_t value() const { return state_; }

 private:
  uint64_t state_ = 0;
};

struct HashData {
  Hasher& h;
  void operator()(const Symbol& s) const { h.add(s.name).add(uint64_t(s.symmetric)); }
  void operator()(const Size& s) const { h.add(s.name).add(uint64_t(s.axis)); }
  void operator()(const SliceLength& s) const { h.add(s.bounds).add(s.length); }
  void operator()(const Array& a) const {
    for (int64_t length : a.shape) h.add(uint64_t(length));
    std::visit(
        [&](const auto& values) {
          for (auto value : values) h.add(double(value));
        },
        a.values);
  }
  void operator()(const Identity& i) const { h.add(uint64_t(i.form)).add(i.bounds); }
  void operator()(const Gather& g) const { h.add(g.index); }
  void operator()(const Triangle& t) const { h.add(uint64_t(t.offset)); }
  void operator()(const Einsum& e) const {
    h.add(e.coefficient);
    for (const Factor& f : e.factors) h.add(f.node).add(f.labels).add(f.exponent).add(uint64_t(f.guard));
  }
  void operator()(const Sum& s) const {
    for (const Term& t : s.terms) h.add(t.coefficient).add(t.node);
  }
  void operator()(const Map& m) const {
    h.add(m.op->name);
    for (const Expr& operand : m.operands) h.add(operand);
  }
  void operator()(const Reduce& r) const { h.add(uint64_t(r.reduction)).add(r.operand).add(r.axes); }
  void operator()(const Linalg& l) const { h.add(uint64_t(l.op)).add(l.operand).add(l.cutoff); }
};

struct EqualData {
  template <class A, class B>
  bool operator()(const A&, const B&) const {
    return false;
  }
  bool operator()(const Symbol& a, const Symbol& b) const { return a.name == b.name && a.symmetric == b.symmetric; }
  bool operator()(const Size& a, const Size& b) const { return a.name == b.name && a.axis == b.axis; }
  bool operator()(const SliceLength& a, const SliceLength& b) const {
    return a.bounds == b.bounds && a.length == b.length;
  }
  bool operator()(const Array& a, const Array& b) const {
    if (a.shape != b.shape || a.values.index() != b.values.index()) return false;
    return std::visit(
        [&](const auto& values) {
          const auto& others = std::get<std::decay_t<decltype(values)>>(b.values);
          // bit by bit: NaN equals itself, and −0 isn't 0
          return std::equal(values.begin(), values.end(), others.begin(), [](auto x, auto y) {
            return std::bit_cast<std::array<std::byte, sizeof x>>(x) ==
                   std::bit_cast<std::array<std::byte, sizeof y>>(y);
          });
        },
        a.values);
  }
  bool operator()(const Identity& a, const Identity& b) const { return a.form == b.form && a.bounds == b.bounds; }
  bool operator()(const Gather& a, const Gather& b) const { return a.index == b.index; }
  bool operator()(const Triangle& a, const Triangle& b) const { return a.offset == b.offset; }
  bool operator()(const Einsum& a, const Einsum& b) const {
    return std::bit_cast<uint64_t>(a.coefficient) == std::bit_cast<uint64_t>(b.coefficient) &&
           std::equal(a.factors.begin(), a.factors.end(), b.factors.begin(), b.factors.end(),
                      [](const Factor& f, const Factor& g) {
                        return f.node == g.node && f.labels == g.labels && f.exponent == g.exponent &&
                               f.guard == g.guard;
                      });
  }
  bool operator()(const Sum& a, const Sum& b) const {
    return std::equal(a.terms.begin(), a.terms.end(), b.terms.begin(), b.terms.end(),
                      [](const Term& s, const Term& t) { return s.node == t.node && s.coefficient == t.coefficient; });
  }
  bool operator()(const Map& a, const Map& b) const { return a.op == b.op && a.operands == b.operands; }
  bool operator()(const Reduce& a, const Reduce& b) const {
    return a.reduction == b.reduction && a.operand == b.operand && a.axes == b.axes;
  }
  bool operator()(const Linalg& a, const Linalg& b) const {
    return a.op == b.op && a.operand == b.operand && a.cutoff == b.cutoff;
  }
};

struct Hash {
  size_t operator()(const Node* node) const { return node->hash; }
};
struct Equal {
  bool operator()(const Node* a, const Node* b) const {
    return a == b || (a->hash == b->hash && a->lengths == b->lengths && std::visit(EqualData{}, a->data, b->data));
  }
};

}  // namespace

/// All nodes. A node is in the table as long as it is referred to; only under the lock does a count reach zero or rise
/// from a look-up, so a node found is one that stays.
class Pool {
 public:
  /// Lives as long as the process, so that references may be dropped while it ends.
  static Pool& instance() {
    static Pool* const pool = new Pool;
    return *pool;
  }

  Expr intern(std::unique_ptr<Node> node) {
    const std::lock_guard lock(mutex_);
    const auto [place, inserted] = nodes_.insert(node.get());
    const Node* unique = inserted ? node.release() : *place;
    unique->references_.fetch_add(1, std::memory_order_relaxed);
    return Expr(unique);
  }

  void release(const Node* node) {
    int64_t count = node->references_.load(std::memory_order_relaxed);
    while (count > 1) {
      if (node->references_.compare_exchange_weak(count, count - 1, std::memory_order_acq_rel)) return;
    }
    {
      const std::lock_guard lock(mutex_);
      if (node->references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
      nodes_.erase(node);
    }
    destroy(node);
  }

  int64_t size() {
    const std::lock_guard lock(mutex_);
    return int64_t(nodes_.size());
  }

 private:
  Pool() {
    pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                   [] { instance().mutex_.unlock(); });
  }

  /// Destroys a node, and then those that it alone referred to: one after the other, as a chain of them may be longer
  /// than the stack is deep.
  static void destroy(const Node* node) {
    thread_local std::vector<const Node*>* pending = nullptr;
    if (pending != nullptr) return pending->push_back(node);
    std::vector<const Node*> nodes{node};
    pending = &nodes;
    while (!nodes.empty()) {
      const std::unique_ptr<const Node> last(nodes.back());
      nodes.pop_back();
    }
    pending = nullptr;
  }

  std::mutex mutex_;
  std::unordered_set<const Node*, Hash, Equal> nodes_;
};

Expr::Expr(const Expr& other) : node_(other.node_) {
  if (node_ != nullptr) node_->references_.fetch_add(1, std::memory_order_relaxed);
}

Expr::~Expr() {
  if (node_ != nullptr) Pool::instance().release(node_);
}

Node::Node(Data data_, std::vector<Expr> lengths_, bool symmetric_)
    : data(std::move(data_)), lengths(std::move(lengths_)), symmetric(symmetric_) {
  Hasher hasher;
  hasher.add(uint64_t(data.index()));
  std::visit(HashData{hasher}, data);
  for (const Expr& length : lengths) hasher.add(length);
  hash = hasher.value();
}

Expr intern(Node::Data data, std::vector<Expr> lengths, bool symmetric) {
  return Pool::instance().intern(std::make_unique<Node>(std::move(data), std::move(lengths), symmetric));
}

int64_t live_nodes() {
  return Pool::instance().size();
}

std::vector<Expr> topological_order(const std::vector<Expr>& roots) {
  std::vector<Expr> order, stack(roots.rbegin(), roots.rend());
  std::unordered_set<const Node*> entered, left;
  while (!stack.empty()) {
    const Expr node = stack.back();
    if (left.contains(node.get())) {
      stack.pop_back();
    } else if (entered.insert(node.get()).second) {
      for_each_operand(*node, [&](const Expr& operand) {
        if (!entered.contains(operand.get())) stack.push_back(operand);
      });
    } else {
      stack.pop_back();
      left.insert(node.get());
      order.push_back(node);
    }
  }
  return order;
}

std::optional<double> as_full(const Expr& e) {
  const auto* einsum = e->as<Einsum>();
  if (einsum == nullptr || !einsum->factors.empty()) return std::nullopt;
  return einsum->coefficient;
}

std::optional<double> as_number(const Expr& e) {
  return e->ndim() == 0 ? as_full(e) : std::nullopt;
}

}  // namespace matgrad::expr
