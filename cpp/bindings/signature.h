// The signature of a closed form, "A(n,n),x(n)->(n)": names and axes of its operands and results.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace matgrad::bindings {

/// The axes of one operand or result; each is a label, numbered in order of first appearance in the signature.
struct CoreAxes {
  std::string name;  ///< empty for a result
  bool optional = false;
  std::vector<int> labels{};
};

/// Operands and results, as in a NumPy generalised ufunc. A name that ends in "?" may be None.
struct Signature {
  std::vector<CoreAxes> inputs{}, outputs{};
  std::vector<std::string> labels{};  ///< names of the axes' lengths

  explicit Signature(std::string_view text);

  /// "(n, n)": how the axes of an operand are called.
  std::string axes(const CoreAxes& core) const;
};

}  // namespace matgrad::bindings
