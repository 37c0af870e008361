// How constant arrays, shapes and slices are printed: arrays in full as NumPy source, abbreviated in formulas.
#include <cstddef>
#include <functional>
#include <numeric>
#include <string>

#include "expr/notation.h"
#include "expr/print.h"
#include "expr/printer.h"

namespace matgrad::expr {
namespace {

constexpr int64_t kMostEntries = 16;

/// Nested brackets around entries in C order.
std::string nested(const std::vector<int64_t>& shape, const std::function<std::string(int64_t)>& entry) {
  int64_t next = 0;
  const std::function<std::string(size_t)> rows = [&](size_t axis) -> std::string {
    if (axis == shape.size()) return entry(next++);
    std::string text = "[";
    for (int64_t k = 0; k < shape[axis]; ++k) text += (k == 0 ? "" : ", ") + rows(axis + 1);
    return text + "]";
  };
  return rows(0);
}

std::string entry_text(const Array& array, int64_t k) {
  return std::visit([k](const auto& values) { return shortest(values[size_t(k)]); }, array.values);
}

int64_t count(const Array& array) {
  return std::accumulate(array.shape.begin(), array.shape.end(), int64_t{1}, std::multiplies<>());
}

}  // namespace

std::string array_text(const Array& array) {
  if (count(array) <= kMostEntries) {
    return nested(array.shape, [&](int64_t k) { return entry_text(array, k); });
  }
  std::string shape;
  for (int64_t length : array.shape) shape += (shape.empty() ? "" : "×") + std::to_string(length);
  return "array[" + shape + "]";
}

std::string array_source(const Array& array) {
  const bool is_float = std::holds_alternative<std::vector<float>>(array.values);
  const std::string dtype = is_float ? ", dtype=np.float32" : "";
  if (count(array) == 0) {
    return "np.zeros((" +
           [&] {
             std::string shape;
             for (int64_t length : array.shape) shape += std::to_string(length) + ", ";
             return shape;
           }() +
           ")" + dtype + ")";
  }
  const std::string rows = nested(array.shape, [&](int64_t k) {
    const std::string text = entry_text(array, k);
    if (text == "nan" || text == "inf") return "np." + text;
    if (text == "-inf") return std::string("-np.inf");
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
  });
  return "np.array(" + rows + dtype + ")";
}

std::string shape_text(const std::vector<Expr>& lengths) {
  std::string text = "(";
  for (const Expr& l : lengths) text.append(&l == lengths.data() ? "" : ", ").append(length_name(l));
  return text + (lengths.size() == 1 ? ",)" : ")");
}

std::string slice_text(const SliceBounds& bounds) {
  std::string text;
  if (bounds.start) text += std::to_string(*bounds.start);
  text += ':';
  if (bounds.stop) text += std::to_string(*bounds.stop);
  if (bounds.step != 1) text.append(":").append(std::to_string(bounds.step));
  return text;
}

}  // namespace matgrad::expr
