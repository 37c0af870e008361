// Leaves of expressions and shorthands for making expressions from others.
#include "expr/build.h"

#include <algorithm>
#include <cmath>

#include "expr/product.h"

namespace matgrad::expr {
namespace {

/// How many elements a slice of an axis of known length has: Python's slice.indices.
int64_t slice_length(const SliceBounds& bounds, int64_t n) {
  const int64_t step = bounds.step, low = step > 0 ? 0 : -1, high = step > 0 ? n : n - 1;
  auto clip = [&](int64_t at) { return std::clamp(at < 0 ? at + n : at, low, high); };
  const int64_t start = bounds.start ? clip(*bounds.start) : (step > 0 ? low : high);
  const int64_t stop = bounds.stop ? clip(*bounds.stop) : (step > 0 ? high : low);
  const int64_t span = step > 0 ? stop - start : start - stop;
  return span <= 0 ? 0 : (span + std::abs(step) - 1) / std::abs(step);
}

}  // namespace

Labels labels_from(int first, int count) {
  Labels labels;
  for (int label = first; label < first + count; ++label) labels += char(label);
  return labels;
}

Expr symbol(const std::string& name, Lengths lengths, bool symmetric) {
  for (size_t axis = 0; axis < lengths.size(); ++axis) {
    if (!lengths[axis]) lengths[axis] = size(name, int(axis));
  }
  if (symmetric) {
    if (lengths.size() != 2)
      throw ShapeError(name + " has " + std::to_string(lengths.size()) + " axes, but only a matrix is symmetric");
    lengths[0] = lengths[1] = common_length(lengths[0], lengths[1]);
  }
  return intern(Symbol{name, symmetric}, std::move(lengths), symmetric);
}

Expr number(double value) {
  return full(value, {});
}

Expr full(double value, Lengths lengths) {
  return intern(Einsum{value == 0 ? 0.0 : value}, std::move(lengths));
}

Expr size(const std::string& name, int axis) {
  return intern(Size{name, axis}, {});
}

Expr array(Array values) {
  Lengths lengths;
  for (int64_t length : values.shape) lengths.push_back(number(double(length)));
  if (lengths.empty()) {
    return std::visit([](const auto& v) { return number(double(v.at(0))); }, values.values);
  }
  return intern(std::move(values), std::move(lengths));
}

Expr delta(const Expr& length) {
  return intern(Identity{}, {length, length}, true);
}

Expr slice(const Expr& length, const SliceBounds& bounds) {
  const bool whole = bounds.step == 1 && bounds.start.value_or(0) == 0 && !bounds.stop;
  if (whole) return delta(length);
  const auto n = as_number(length);
  const Expr own = n ? number(double(slice_length(bounds, int64_t(*n)))) : intern(SliceLength{bounds, length}, {});
  return intern(Identity{Identity::Form::Slice, bounds}, {own, length});
}

Expr element(const Expr& length, int64_t index) {
  return intern(Identity{Identity::Form::Element, {index, {}, 1}}, {length});
}

Expr reshape_tensor(const Lengths& parts) {
  if (parts.size() == 1) return delta(parts[0]);
  Expr whole = number(1);
  for (const Expr& part : parts) whole = whole * part;
  Lengths lengths{whole};
  lengths.insert(lengths.end(), parts.begin(), parts.end());
  return intern(Identity{Identity::Form::Reshape}, std::move(lengths));
}

Expr gather(const Expr& index, const Expr& length) {
  Lengths lengths = index->lengths;
  lengths.push_back(length);
  return intern(Gather{index}, std::move(lengths));
}

Expr triangle(const Expr& rows, const Expr& columns, int64_t offset) {
  return intern(Triangle{offset}, {rows, columns});
}

namespace {

/// Both operands with the axes of the one that has any.
std::pair<Expr, Expr> alike(const Expr& a, const Expr& b) {
  if (a->ndim() == b->ndim()) return {a, b};
  if (a->ndim() == 0) return {broadcast(a, Labels(), b->lengths), b};
  if (b->ndim() == 0) return {a, broadcast(b, Labels(), a->lengths)};
  throw ShapeError("operands have " + std::to_string(a->ndim()) + " and " + std::to_string(b->ndim()) + " axes");
}

}  // namespace

Expr operator+(const Expr& a, const Expr& b) {
  const auto [x, y] = alike(a, b);
  return sum({{1, x}, {1, y}}, Lengths(size_t(x->ndim())));
}

Expr operator-(const Expr& a, const Expr& b) {
  const auto [x, y] = alike(a, b);
  return sum({{1, x}, {-1, y}}, Lengths(size_t(x->ndim())));
}

Expr operator*(const Expr& a, const Expr& b) {
  const Expr& larger = a->ndim() > 0 ? a : b;
  if (a->ndim() != b->ndim() && a->ndim() != 0 && b->ndim() != 0) throw ShapeError("operands have different axes");
  return einsum(1, {{a, labels_from(0, a->ndim())}, {b, labels_from(0, b->ndim())}}, larger->lengths);
}

Expr operator*(double a, const Expr& b) {
  return einsum(a, {{b, labels_from(0, b->ndim())}}, b->lengths);
}

Expr operator-(const Expr& a) {
  return -1 * a;
}

Expr power(const Expr& x, double exponent) {
  return einsum(1, {{x, labels_from(0, x->ndim()), exponent}}, x->lengths);
}

Expr guard(const Expr& c) {
  return einsum(1, {{c, labels_from(0, c->ndim()), 1, true}}, c->lengths);
}

Expr guarded(const Expr& c, const Expr& x) {
  const Labels labels = labels_from(0, x->ndim());
  return einsum(1, {{c, labels, 1, true}, {x, labels}}, x->lengths);
}

Expr transpose(const Expr& x, const Labels& permutation) {
  Labels labels(permutation.size(), char(0));
  Lengths lengths(permutation.size());
  for (size_t axis = 0; axis < permutation.size(); ++axis) {
    labels[size_t(label_of(permutation[axis]))] = char(axis);
    lengths[axis] = x->lengths[size_t(label_of(permutation[axis]))];
  }
  return einsum(1, {{x, labels}}, std::move(lengths));
}

Expr broadcast(const Expr& x, const Labels& axes, Lengths lengths) {
  return einsum(1, {{x, axes}}, std::move(lengths));
}

Expr sum_over(const Expr& x, const Labels& axes) {
  Labels labels;
  Lengths lengths;
  const int kept = x->ndim() - int(axes.size());
  int summed = kept;
  for (int axis = 0; axis < x->ndim(); ++axis) {
    if (axes.find(char(axis)) != Labels::npos) {
      labels += char(summed++);
    } else {
      labels += char(lengths.size());
      lengths.push_back(x->lengths[size_t(axis)]);
    }
  }
  return einsum(1, {{x, labels}}, std::move(lengths));
}

bool is_zero_or_one(const Expr& e) {
  const auto* map = e->as<Map>();
  return e->as<Identity>() || e->as<Gather>() || e->as<Triangle>() || (map && map->op->range == Op::Indicator);
}

bool is_nonnegative(const Expr& e) {
  if (e->as<Size>() || e->as<SliceLength>() || is_zero_or_one(e)) return true;
  if (const auto* map = e->as<Map>()) return map->op->range != Op::Any;
  if (const auto* einsum = e->as<Einsum>()) {
    return einsum->coefficient >= 0 && std::ranges::all_of(einsum->factors, [](const Factor& f) {
             return std::trunc(f.exponent / 2) == f.exponent / 2 || std::trunc(f.exponent) != f.exponent ||
                    is_nonnegative(f.node);
           });
  }
  if (const auto* sum = e->as<Sum>()) {
    return std::ranges::all_of(sum->terms, [](const Term& t) { return t.coefficient > 0 && is_nonnegative(t.node); });
  }
  if (const auto* reduce = e->as<Reduce>()) {
    return reduce->reduction >= Reduction::ArgMax ||
           (reduce->reduction != Reduction::LogSumExp && is_nonnegative(reduce->operand));
  }
  return false;
}

}  // namespace matgrad::expr
