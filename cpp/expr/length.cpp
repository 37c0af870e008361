// What lengths of axes are called.
#include "expr/print.h"
#include "expr/printer.h"

namespace matgrad::expr {

std::string length_name(const Expr& length) {
  if (const auto* size = length->as<Size>()) {
    return size->axis < 0 ? size->name : size->name + ".shape[" + std::to_string(size->axis) + "]";
  }
  if (const auto* einsum = length->as<Einsum>()) {
    std::string text =
        einsum->coefficient == 1 && !einsum->factors.empty() ? "" : std::to_string(int64_t(einsum->coefficient));
    for (const Factor& f : einsum->factors) {
      for (int k = 0; k < int(f.exponent); ++k) text += (text.empty() ? "" : " * ") + length_name(f.node);
    }
    return text;
  }
  if (const auto* slice = length->as<SliceLength>()) {
    std::string text = "len(range(";
    return text.append(length_name(slice->length)).append(")[").append(slice_text(slice->bounds)).append("])");
  }
  return to_matrix(length);
}

}  // namespace matgrad::expr
