// The signature of a closed form, "A(n,n),x(n)->(n)": names and axes of its operands and results.
#include "bindings/signature.h"

#include <algorithm>

namespace matgrad::bindings {

Signature::Signature(std::string_view text) {
  std::vector<CoreAxes>* side = &inputs;
  CoreAxes core;
  std::string word;
  auto end_label = [&] {
    if (word.empty()) return;
    auto known = std::find(labels.begin(), labels.end(), word);
    core.labels.push_back(int(known - labels.begin()));
    if (known == labels.end()) labels.push_back(word);
    word.clear();
  };
  bool inside = false;
  for (char c : text) {
    if (c == '(') {
      core.name = word;
      word.clear();
      inside = true;
    } else if (c == ')') {
      end_label();
      side->push_back(core);
      core = CoreAxes{};
      inside = false;
    } else if (c == ',') {
      if (inside) end_label();
    } else if (c == '?') {
      core.optional = true;
    } else if (c == '>') {
      side = &outputs;
    } else if (c != '-') {
      word += c;
    }
  }
}

std::string Signature::axes(const CoreAxes& core) const {
  std::string text = "(";
  for (size_t axis = 0; axis < core.labels.size(); ++axis) text += (axis ? ", " : "") + labels[core.labels[axis]];
  return text + (core.labels.size() == 1 ? ",)" : ")");
}

}  // namespace matgrad::bindings
