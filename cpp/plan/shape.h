// The lengths of all axes, from the shapes of the arguments; and whether those that are joined agree.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "expr/node.h"

namespace matgrad::plan {

using Shape = std::vector<int64_t>;

/// The number of elements of an array. Throws TooLarge if it can't be counted.
int64_t element_count(const Shape& shape);

/// The strides of an array in C order.
std::vector<int64_t> contiguous_strides(const Shape& shape);

/// The first and one past the last element of an array with these strides, counted from where it begins.
std::pair<int64_t, int64_t> extent(const Shape& shape, const std::vector<int64_t>& strides);

/// The elements start, start + step, … of an axis, `count` of them.
struct Slice {
  int64_t start, step, count;
};

/// A slice of an axis of that length, as Python resolves it.
Slice resolve(const expr::SliceBounds& bounds, int64_t length);

/// What the symbolic lengths are.
class LengthTable {
 public:
  /// Throws expr::ShapeError where an argument doesn't have the axes that its symbol declares.
  LengthTable(const std::vector<expr::Expr>& symbols, std::span<const Shape> shapes);

  int64_t length(const expr::Expr& length) const;
  Shape shape(const expr::Expr& node) const;

  /// Throws expr::ShapeError where axes that are joined by a node have different lengths.
  void check(const expr::Expr& node) const;

  /// The number that a scalar expression made of lengths is.
  double value(const expr::Expr& scalar) const;

 private:
  std::string describe(const expr::Expr& length) const;
  /// Throws unless the two are equal.
  void require_equal(const expr::Expr& a, const expr::Expr& b) const;

  struct Bound {
    int64_t length;
    std::string description;
    size_t argument;
  };
  /// Whether the argument whose length this is comes later than that of another length.
  bool is_later(const expr::Expr& length, const expr::Expr& other) const;
  std::map<std::pair<std::string, int>, Bound> sizes_{};
};

}  // namespace matgrad::plan
