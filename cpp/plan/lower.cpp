// Lowering: the nodes of an expression become steps over buffers.
#include "plan/lower.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "expr/build.h"
#include "expr/op.h"
#include "plan/arena.h"
#include "plan/map_function.h"
#include "plan/stream.h"

namespace matgrad::plan {

using namespace expr;

namespace {

bool is_contiguous(const View& view) {
  const auto wanted = contiguous_strides(view.shape);
  for (size_t axis = 0; axis < wanted.size(); ++axis) {
    if (view.shape[axis] == 0) return true;
    if (view.shape[axis] != 1 && view.strides[axis] != wanted[axis]) return false;
  }
  return true;
}

}  // namespace

View permuted(const View& view, const std::vector<int>& axes) {
  View result{view.place, {}, {}};
  for (int axis : axes) {
    result.shape.push_back(view.shape[size_t(axis)]);
    result.strides.push_back(view.strides[size_t(axis)]);
  }
  return result;
}

void Lowering::place(const Expr& node, int buffer, std::vector<int64_t> strides) {
  View view{{buffer, 0}, lengths_.shape(node), std::move(strides)};
  bool has_rows = true;  // of neighbours, or of one element repeated
  for (size_t axis = 0; axis < view.shape.size(); ++axis) {
    if (view.shape[axis] <= 1) view.strides[axis] = 0;
    has_rows &= view.strides[axis] == 0;
  }
  for (int64_t stride : view.strides) has_rows |= stride == 1;
  if (!has_rows) {
    const View copy = new_buffer_like(view);
    const Operand to = copy.operand(), from = view.operand();
    emit({.op = RowOp::Scale}, view.shape, {&to, &from});
    view = copy;
  }
  views_[node.get()] = std::move(view);
}

View Lowering::new_buffer(Shape shape) {
  const int64_t count = element_count(shape);
  if (count > largest_) {
    largest_ = count;
    plan_.largest = shape;
  }
  sizes_.push_back(count);
  const auto strides = contiguous_strides(shape);
  return {{plan_.buffers.first_intermediate() + int(sizes_.size()) - 1, 0}, std::move(shape), strides};
}

View Lowering::new_buffer_like(const View& view) {
  std::vector<int> axes(view.shape.size());
  std::iota(axes.begin(), axes.end(), 0);
  std::ranges::stable_sort(
      axes, [&](int a, int b) { return std::abs(view.strides[size_t(a)]) > std::abs(view.strides[size_t(b)]); });
  Shape stored;
  for (int axis : axes) stored.push_back(view.strides[size_t(axis)] == 0 ? 1 : view.shape[size_t(axis)]);
  const View buffer = new_buffer(stored);
  View result{buffer.place, view.shape, std::vector<int64_t>(axes.size(), 0)};
  for (size_t k = 0; k < axes.size(); ++k) {
    if (view.strides[size_t(axes[k])] != 0) result.strides[size_t(axes[k])] = buffer.strides[k];
  }
  return result;
}

View Lowering::in_order(const View& view, const std::vector<int>& axes) {
  const View wanted = permuted(view, axes);
  if (is_contiguous(wanted)) return wanted;
  const View copy = new_buffer(wanted.shape);
  const Operand to = copy.operand(), from = wanted.operand();
  emit({.op = RowOp::Scale}, wanted.shape, {&to, &from});
  return copy;
}

Operand Lowering::new_operand(const Lengths& lengths, const std::vector<int>& labels) {
  Shape shape;
  for (int label : labels) shape.push_back(lengths[size_t(label)]);
  const View view = new_buffer(shape);
  Operand operand{view.place, std::vector<int64_t>(lengths.size(), 0)};
  for (size_t k = 0; k < labels.size(); ++k) operand.strides[size_t(labels[k])] = view.strides[k];
  return operand;
}

Operand Lowering::copied(const Lengths& lengths, const Operand& operand, const std::vector<int>& labels) {
  const Operand copy = new_operand(lengths, labels);
  emit({.op = RowOp::Scale}, lengths, {&copy, &operand});
  return copy;
}

View Lowering::number(double value, Shape shape) {
  plan_.numbers.push_back(value);
  const size_t ndim = shape.size();
  return {
      {plan_.buffers.numbers(), int64_t(plan_.numbers.size()) - 1}, std::move(shape), std::vector<int64_t>(ndim, 0)};
}

void Lowering::emit(const Elementwise& step, const Lengths& lengths, const Operands& operands) {
  for (size_t label = 0; label < lengths.size(); ++label) {
    if (lengths[label] == 0 && operands[0]->strides[label] != 0) return;
  }
  emit(elementwise(step, lengths, operands));
}

View Lowering::view(const Expr& node) {
  const auto known = views_.find(node.get());
  if (known != views_.end()) return known->second;
  Shape shape = lengths_.shape(node);
  View result;
  if (node->as<Size>() || node->as<SliceLength>()) {
    result = number(lengths_.value(node), std::move(shape));
  } else if (node->as<Einsum>()) {
    result = lower_einsum(node);
  } else if (node->as<Sum>()) {
    result = lower_sum(node, shape);
  } else if (auto* map = node->as<Map>()) {
    result = lower_map(*map, std::move(shape));
  } else if (auto* reduce = node->as<Reduce>()) {
    result = lower_reduce(*reduce, std::move(shape));
  } else if (auto* linalg = node->as<Linalg>()) {
    result = lower_linalg(*linalg, std::move(shape));
  } else if (node->as<Identity>() || node->as<Gather>() || node->as<Triangle>()) {
    double coefficient = 1;
    const auto factors = product_factors({factor(node, labels_from(0, node->ndim()))}, coefficient);
    result = lower_product(*this, coefficient, factors, shape, shape);
  } else {
    throw std::invalid_argument("the expression contains a symbol that is not an argument");
  }
  kept_.push_back(node);
  return views_[node.get()] = result;
}

void Lowering::lower(const Expr& node) {
  const bool is_lazy = node->as<Identity>() || node->as<Gather>() || node->as<Triangle>() || node->as<Size>() ||
                       node->as<SliceLength>() || can_be_deferred(node) || is_sparse(node) ||
                       single_products_.contains(node.get());
  if (!is_lazy) view(node);
}

View Lowering::power(const Expr& node, double exponent, bool guard) {
  if (exponent == 1) return view(node);
  const auto [known, is_new] = powers_.insert({{node.get(), exponent, guard}, {}});
  if (!is_new) return known->second;
  const View base = view(node), result = new_buffer_like(base);
  const Operand to = result.operand(), from = base.operand();
  emit({.op = RowOp::Power, .a = exponent}, base.shape, {&to, &from});
  if (guard) emit({.op = RowOp::Select}, base.shape, {&to, &to, &from});
  return known->second = result;
}

View Lowering::lower_map(const Map& map, Shape shape) {
  std::vector<View> views;
  for (const Expr& operand : map.operands) views.push_back(view(operand));
  const bool alike = std::ranges::all_of(views, [&](const View& v) { return v.strides == views[0].strides; });
  const View result = alike ? new_buffer_like(views[0]) : new_buffer(shape);
  std::vector<Operand> operands{result.operand()};
  for (const View& v : views) operands.push_back(v.operand());
  Operands pointers;
  for (const Operand& operand : operands) pointers.push_back(&operand);
  emit({.op = RowOp::Map, .function = map.op, .kernel = find_kernel(*map.op)}, shape, pointers);
  return result;
}

View Lowering::lower_ordering(const Reduce& reduce, Shape shape) {
  const View operand = view(reduce.operand), result = new_buffer(std::move(shape));
  const auto axis = size_t(reduce.axes[0]);
  const bool is_kept = reduce.reduction == Reduction::ArgSort;
  Ordering step{.order = reduce.reduction, .length = operand.shape[axis], .x_stride = operand.strides[axis]};
  if (element_count(result.shape) == 0) return result;
  if (step.length == 0) throw ShapeError("the position of the largest or smallest of no elements does not exist");
  Operand to{result.place, std::vector<int64_t>(operand.shape.size(), 0)}, from = operand.operand();
  std::vector<int> rows;
  for (size_t k = 0, own = 0; k < operand.shape.size(); ++k) {
    if (k == axis && is_kept) step.result_stride = result.strides[own];
    if (k != axis || is_kept) to.strides[k] = result.strides[own++];
    if (k != axis) rows.push_back(int(k));
  }
  step.rows = make_nest(operand.shape, rows, {&to, &from});
  step.places = {to.place, from.place};
  emit_fallible(step);
  return result;
}

View Lowering::lower_reduce(const Reduce& reduce, Shape shape) {
  if (reduce.reduction >= Reduction::ArgMax) return lower_ordering(reduce, std::move(shape));
  View operand = view(reduce.operand);
  std::vector<int> kept, reduced;
  for (int axis = 0; axis < int(operand.shape.size()); ++axis) {
    (reduce.axes.find(char(axis)) == Labels::npos ? kept : reduced).push_back(axis);
  }
  const bool has_identity = reduce.reduction == Reduction::Prod || reduce.reduction == Reduction::LogSumExp;
  const bool is_empty = std::ranges::any_of(reduced, [&](int axis) { return operand.shape[size_t(axis)] == 0; });
  if (is_empty && element_count(shape) > 0 && !has_identity) {
    throw ShapeError(std::string("the ") + (reduce.reduction == Reduction::Max ? "maximum" : "minimum") +
                     " of no elements does not exist");
  }
  const View result = new_buffer(std::move(shape));
  Operand to{result.place, std::vector<int64_t>(operand.shape.size(), 0)};
  for (size_t k = 0; k < kept.size(); ++k) to.strides[size_t(kept[k])] = result.strides[k];
  RowReduction step{.reduction = reduce.reduction, .places = {result.place}};
  auto arrange = [&] {
    const Operand from = operand.operand();
    auto along = [&](std::vector<int> axes) {
      const auto stride = [&](int axis) { return std::abs(operand.strides[size_t(axis)]); };
      std::ranges::stable_sort(
          axes, [&](int a, int b) { return stride(b) != 0 && (stride(a) == 0 || stride(a) > stride(b)); });
      return make_nest(operand.shape, axes, {&to, &from});
    };
    step.kept = along(kept);
    step.reduced = along(reduced);
    step.places[1] = operand.place;
  };
  arrange();
  const bool along_rows = step.reduced.size() < 2 && (step.reduced.empty() || step.reduced[0].strides[1] == 1);
  const bool across_rows =
      !step.kept.empty() && step.kept.back().strides[1] == 1 && step.kept.back().length >= kLeastTiled;
  if (!along_rows && !across_rows) {
    std::vector<int> order = kept, axes(operand.shape.size());
    order.insert(order.end(), reduced.begin(), reduced.end());
    for (size_t k = 0; k < order.size(); ++k) axes[size_t(order[k])] = int(k);
    operand = permuted(in_order(operand, order), axes);
    arrange();
  }
  emit(step);
  return result;
}

Plan Lowering::finish(const std::vector<Expr>& roots) {
  const Buffers& buffers = plan_.buffers;
  std::map<int, Place> places;  // of buffers that were intermediate, in the end
  for (size_t k = 0; k < roots.size(); ++k) {
    const View value = view(roots[k]);
    plan_.result_shapes.push_back(value.shape);
    const int buffer = value.place.buffer;
    if (buffer >= buffers.first_intermediate() && is_contiguous(value) && !places.contains(buffer) &&
        sizes_[size_t(buffer - buffers.first_intermediate())] == element_count(value.shape)) {
      places[buffer] = {buffers.result(int(k)), 0};
    } else {
      const Operand to{{buffers.result(int(k)), 0}, contiguous_strides(value.shape)}, from = value.operand();
      emit({.op = RowOp::Scale}, value.shape, {&to, &from});
    }
  }
  stream(plan_, sizes_, places);
  assign_places(plan_, sizes_, places);
  return std::move(plan_);
}

}  // namespace matgrad::plan
