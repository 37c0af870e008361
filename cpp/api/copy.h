// Copies of arrays, whatever their strides.
#pragma once

#include "matgrad/array.h"

namespace matgrad::detail {

/// Copies the elements of an array to another one of the same shape, from an axis on.
template <class T>
void copy_elements(const View<const T>& from, const View<T>& to, std::size_t axis = 0, std::int64_t from_offset = 0,
                   std::int64_t to_offset = 0) {
  if (axis == from.ndim()) {
    to.data()[to_offset] = from.data()[from_offset];
    return;
  }
  for (std::int64_t i = 0; i < from.shape()[axis]; ++i) {
    copy_elements(from, to, axis + 1, from_offset, to_offset);
    from_offset += from.strides()[axis];
    to_offset += to.strides()[axis];
  }
}

}  // namespace matgrad::detail
