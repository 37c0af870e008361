// The lengths of all axes, from the shapes of the arguments; and whether those that are joined agree.
#include "plan/shape.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

#include "expr/build.h"
#include "expr/linalg_op.h"
#include "expr/op.h"
#include "expr/print.h"
#include "plan/step.h"

namespace matgrad::plan {

using namespace expr;

namespace {

std::string axis_of(const std::string& name, int64_t length, size_t axis) {
  return name + " has length " + std::to_string(length) + " along axis " + std::to_string(axis);
}

std::string axes(size_t count) {
  return std::to_string(count) + (count == 1 ? " axis" : " axes");
}

}  // namespace

int64_t element_count(const Shape& shape) {
  double count = 1;
  for (int64_t length : shape) count *= double(length);
  if (count > 0x1p58) throw TooLarge(shape);
  return int64_t(count);
}

std::vector<int64_t> contiguous_strides(const Shape& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t axis = shape.size(); axis-- > 0; stride *= shape[axis]) strides[axis] = stride;
  return strides;
}

std::pair<int64_t, int64_t> extent(const Shape& shape, const std::vector<int64_t>& strides) {
  int64_t low = 0, high = 1;
  for (size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == 0) return {0, 0};
    const int64_t span = (shape[axis] - 1) * strides[axis];
    (span < 0 ? low : high) += span;
  }
  return {low, high};
}

Slice resolve(const SliceBounds& bounds, int64_t length) {
  const int64_t step = bounds.step, low = step > 0 ? 0 : -1, high = step > 0 ? length : length - 1;
  auto limit = [&](const std::optional<int64_t>& bound, int64_t missing) {
    if (!bound) return missing;
    return std::clamp(*bound < 0 ? *bound + length : *bound, low, high);
  };
  const int64_t start = limit(bounds.start, step > 0 ? low : high), stop = limit(bounds.stop, step > 0 ? high : low);
  const int64_t span = step > 0 ? stop - start : start - stop, stride = std::abs(step);
  return {start, step, span > 0 ? (span + stride - 1) / stride : 0};
}

LengthTable::LengthTable(const std::vector<Expr>& symbols, std::span<const Shape> shapes) {
  for (size_t k = 0; k < symbols.size(); ++k) {
    const std::string& name = symbols[k]->as<Symbol>()->name;
    if (shapes[k].size() != symbols[k]->lengths.size()) {
      throw ShapeError(name + " has " + axes(shapes[k].size()) + " but must have " +
                       std::to_string(symbols[k]->lengths.size()));
    }
    for (size_t axis = 0; axis < shapes[k].size(); ++axis) {
      const Bound bound{shapes[k][axis], axis_of(name, shapes[k][axis], axis), k};
      sizes_.insert({{name, int(axis)}, bound});
      const auto* size = symbols[k]->lengths[axis]->as<Size>();
      if (size == nullptr || size->axis >= 0) continue;
      const auto [known, is_new] = sizes_.insert({{size->name, -1}, bound});
      if (!is_new && known->second.length != bound.length) {
        throw ShapeError(known->second.description + " but " + bound.description + "; both are declared as " +
                         size->name);
      }
    }
  }
  for (size_t k = 0; k < symbols.size(); ++k) {
    for (size_t axis = 0; axis < shapes[k].size(); ++axis) {
      const Expr& declared = symbols[k]->lengths[axis];
      if (declared->as<Size>() && declared->as<Size>()->axis < 0) continue;
      if (length(declared) != shapes[k][axis]) {
        throw ShapeError(axis_of(symbols[k]->as<Symbol>()->name, shapes[k][axis], axis) + " but is declared to have " +
                         describe(declared));
      }
    }
  }
}

double LengthTable::value(const Expr& scalar) const {
  if (auto* size = scalar->as<Size>()) {
    const auto known = sizes_.find({size->name, size->axis});
    if (known == sizes_.end()) throw ShapeError("the length " + length_name(scalar) + " is that of no argument");
    return double(known->second.length);
  }
  if (auto* slice = scalar->as<SliceLength>()) return double(resolve(slice->bounds, length(slice->length)).count);
  double result = 0;
  if (auto* map = scalar->as<Map>()) {
    double operands[3] = {0, 0, 0};
    for (size_t k = 0; k < map->operands.size(); ++k) operands[k] = value(map->operands[k]);
    result = map->op->value(operands[0], operands[1], operands[2]);
  } else if (auto* sum = scalar->as<Sum>()) {
    for (const Term& term : sum->terms) result += term.coefficient * value(term.node);
  } else if (auto* einsum = scalar->as<Einsum>()) {
    result = einsum->coefficient;
    for (const Factor& factor : einsum->factors) result *= std::pow(value(factor.node), factor.exponent);
  } else {
    throw std::logic_error("not a length: " + length_name(scalar));
  }
  return result;
}

int64_t LengthTable::length(const Expr& length) const {
  const double exact = value(length), rounded = std::round(exact);
  if (exact == rounded && rounded >= 0) return int64_t(rounded);
  throw ShapeError(length_name(length) + " is " + std::to_string(exact) + " but must be a length");
}

Shape LengthTable::shape(const Expr& node) const {
  Shape shape;
  for (const Expr& axis : node->lengths) shape.push_back(length(axis));
  return shape;
}

std::string LengthTable::describe(const Expr& length) const {
  if (auto* size = length->as<Size>()) return sizes_.at({size->name, size->axis}).description;
  if (as_number(length)) return std::to_string(this->length(length));
  return length_name(length) + " is " + std::to_string(this->length(length));
}

bool LengthTable::is_later(const Expr& length, const Expr& other) const {
  const auto *own = length->as<Size>(), *others = other->as<Size>();
  return own && others && sizes_.at({own->name, own->axis}).argument > sizes_.at({others->name, others->axis}).argument;
}

void LengthTable::require_equal(const Expr& a, const Expr& b) const {
  if (a == b || length(a) == length(b)) return;
  if (is_later(a, b)) return require_equal(b, a);
  if (as_number(a)) throw ShapeError(describe(b) + " but must be " + describe(a));
  if (as_number(b)) throw ShapeError(describe(a) + " but must be " + describe(b));
  throw ShapeError(describe(a) + " but " + describe(b) + "; they must be equal");
}

void LengthTable::check(const Expr& node) const {
  if (auto* einsum = node->as<Einsum>()) {
    std::map<char, Expr> known;
    for (int axis = 0; axis < node->ndim(); ++axis) known[char(axis)] = node->lengths[size_t(axis)];
    for (const Factor& factor : einsum->factors) {
      for (size_t axis = 0; axis < factor.labels.size(); ++axis) {
        const Expr& own = factor.node->lengths[axis];
        const auto [other, is_new] = known.insert({factor.labels[axis], own});
        if (!is_new) require_equal(other->second, own);
      }
    }
  } else if (node->as<Sum>() || node->as<Map>()) {
    for_each_operand(*node, [&](const Expr& operand) {
      for (size_t axis = 0; axis < node->lengths.size(); ++axis) {
        require_equal(node->lengths[axis], operand->lengths[axis]);
      }
    });
  } else if (auto* linalg = node->as<Linalg>()) {
    const auto& lengths = linalg->operand->lengths;
    if (rule(linalg->op).is_square) require_equal(lengths[lengths.size() - 2], lengths[lengths.size() - 1]);
  } else if (auto* identity = node->as<Identity>(); identity && identity->form == Identity::Form::Element) {
    const int64_t index = identity->bounds.start.value_or(0), own = length(node->lengths[0]);
    if (index < -own || index >= own) {
      throw std::out_of_range("index " + std::to_string(index) + " is out of bounds: " + describe(node->lengths[0]));
    }
  }
}

}  // namespace matgrad::plan
