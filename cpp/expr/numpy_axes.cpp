// NumPy's reshape and indexing as functions of expressions: products with 0/1 tensors that are never stored.
#include <algorithm>
#include <stdexcept>
#include <utility>

#include "expr/numpy_api.h"

namespace matgrad::expr::numpy_api {
namespace {

std::optional<int64_t> known_size(const Lengths& lengths) {
  int64_t size = 1;
  for (const Expr& length : lengths) {
    auto n = known_length(length);
    if (!n) return std::nullopt;
    size *= *n;
  }
  return size;
}

[[noreturn]] void fail_to_reshape(const Expr& x, const Lengths& lengths) {
  throw ShapeError("reshape: the operand has shape " + shape_name(x->lengths) + " and can't become " +
                   shape_name(lengths));
}

/// The axes whose length isn't the number 1.
Labels long_axes(const Lengths& lengths) {
  Labels axes;
  for (size_t axis = 0; axis < lengths.size(); ++axis) {
    if (!is_one(lengths[axis])) axes.push_back(char(axis));
  }
  return axes;
}

/// The lengths with the missing one put in.
Lengths completed(const Expr& x, Lengths lengths) {
  auto missing = std::ranges::find_if(lengths, [](const Expr& length) { return !length; });
  if (missing == lengths.end()) return lengths;
  Lengths others;
  std::ranges::copy_if(lengths, std::back_inserter(others), [](const Expr& length) { return bool(length); });
  auto size = known_size(x->lengths), part = known_size(others);
  bool fits = !size || !part || (*part != 0 && *size % *part == 0);
  *missing = fits ? product_of(x->lengths, others) : number(-1);
  if (!fits) fail_to_reshape(x, lengths);
  return lengths;
}

}  // namespace

namespace {

/// Axes that become axes with as many elements.
struct Group {
  Labels from, to;
};

/// The products of the first 1, 2, … lengths.
Lengths products(const Lengths& lengths, const Labels& axes) {
  Lengths result;
  for (char axis : axes) {
    const Expr& length = lengths[size_t(axis)];
    result.push_back(result.empty() ? length : product_of({result.back(), length}));
  }
  return result;
}

/// Cuts off the first group, the smallest whose lengths are known to have the same product.
Group first_group(const Lengths& old_lengths, Labels& from, const Lengths& new_lengths, Labels& to) {
  const Lengths before = products(old_lengths, from), after = products(new_lengths, to);
  for (size_t count = 2; count < from.size() + to.size(); ++count) {
    for (size_t p = count > to.size() ? count - to.size() : 1; p < count && p <= from.size(); ++p) {
      const size_t q = count - p;
      if (before[p - 1] != after[q - 1] || (p == from.size()) != (q == to.size())) continue;
      Group group{from.substr(0, p), to.substr(0, q)};
      from.erase(0, p);
      to.erase(0, q);
      return group;
    }
  }
  return {std::exchange(from, {}), std::exchange(to, {})};
}

/// Axes in groups, those of length 1 aside, which come and go.
std::vector<Group> groups_of(const Expr& x, const Lengths& lengths) {
  Labels from = long_axes(x->lengths), to = long_axes(lengths);
  std::vector<Group> groups;
  const bool is_empty = known_size(x->lengths) == 0;  // then products are equal by accident
  while (!is_empty && !from.empty() && !to.empty() && x->lengths[size_t(from.back())] == lengths[size_t(to.back())]) {
    groups.push_back({{from.back()}, {to.back()}});
    from.pop_back();
    to.pop_back();
  }
  while (!is_empty && !from.empty() && !to.empty()) groups.push_back(first_group(x->lengths, from, lengths, to));
  if (is_empty) groups.push_back({std::exchange(from, {}), std::exchange(to, {})});
  if (!from.empty() || !to.empty()) fail_to_reshape(x, lengths);
  return groups;
}

}  // namespace

// In each group, the old axes are ravelled into one, which is unravelled into the new axes.
Expr reshape(const Expr& x, Lengths lengths) {
  lengths = completed(x, std::move(lengths));
  if (lengths == x->lengths) return x;
  auto before = known_size(x->lengths), after = known_size(lengths);
  if (before && after && *before != *after) fail_to_reshape(x, lengths);

  int next = int(lengths.size());
  Labels labels = labels_from(next, x->ndim());
  const Labels new_labels = labels_from(0, next);
  next += x->ndim();
  std::vector<Factor> factors;
  for (const Group& group : groups_of(x, lengths)) {
    const char ravelled = group.to.size() == 1 ? group.to.front() : char(next++);
    auto ravel = [&](const Labels& axes, const Lengths& of, const Labels& labels_of) {
      Lengths parts;
      Labels part_labels(1, ravelled);
      for (char axis : axes) {
        parts.push_back(of[size_t(axis)]);
        part_labels.push_back(labels_of[size_t(axis)]);
      }
      factors.push_back(factor(reshape_tensor(parts), std::move(part_labels)));
    };
    if (group.from.size() == 1) labels[size_t(group.from.front())] = ravelled;
    if (group.from.size() > 1) ravel(group.from, x->lengths, labels);
    if (group.to.size() > 1) ravel(group.to, lengths, new_labels);
  }
  factors.push_back(factor(x, labels));
  return expr::einsum(1, std::move(factors), std::move(lengths));
}

Expr index(const Expr& x, const std::vector<Index>& indices) {
  size_t used = size_t(std::ranges::count_if(indices, [](const Index& i) { return i.index() != 2; }));
  if (used > x->lengths.size()) {
    throw std::out_of_range("index: the operand has shape " + shape_name(x->lengths) + ", too few axes for " +
                            std::to_string(used) + " indices");
  }
  std::vector<Index> all = indices;
  all.insert(all.end(), x->lengths.size() - used, SliceBounds{});
  int ndim = int(std::ranges::count_if(all, [](const Index& i) { return i.index() != 0; })), next = ndim;
  Labels labels;
  Lengths lengths;
  std::vector<Factor> factors;
  for (const Index& item : all) {
    if (std::holds_alternative<NewAxis>(item)) {
      lengths.push_back(number(1));
      continue;
    }
    const Expr& length = x->lengths[labels.size()];
    if (auto* position = std::get_if<int64_t>(&item)) {
      auto n = known_length(length);
      if (n && (*position >= *n || *position < -*n)) {
        throw std::out_of_range("index: " + std::to_string(*position) + " is out of range for axis " +
                                std::to_string(labels.size()) + " of an operand of shape " + shape_name(x->lengths));
      }
      labels.push_back(char(next++));
      factors.push_back(factor(element(length, *position), {labels.back()}));
    } else if (std::get<SliceBounds>(item) == SliceBounds{}) {
      labels.push_back(char(lengths.size()));
      lengths.emplace_back();
    } else {
      labels.push_back(char(next++));
      factors.push_back(factor(slice(length, std::get<SliceBounds>(item)), {char(lengths.size()), labels.back()}));
      lengths.emplace_back();
    }
  }
  factors.push_back(factor(x, labels));
  return expr::einsum(1, std::move(factors), std::move(lengths));
}

}  // namespace matgrad::expr::numpy_api
