// Arrays of results, and views of arrays wherever they are: a pointer, a shape and strides.
#pragma once

#include <algorithm>
#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <ranges>
#include <span>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace matgrad {

/// The precisions that matgrad computes in.
template <class T>
concept Precision = std::same_as<T, float> || std::same_as<T, double>;

template <Precision T>
class Array;

/// A range whose elements are next to each other in memory, such as std::vector<double>.
template <class R, class T>
concept ContiguousRangeOf = std::ranges::contiguous_range<R> && std::ranges::sized_range<R> &&
                            std::convertible_to<std::add_pointer_t<std::ranges::range_reference_t<R>>, T*>;

/// An array that belongs to someone else: element (i, j, …) is data[i * strides[0] + j * strides[1] + …].
template <class T>
  requires Precision<std::remove_const_t<T>>
class View {
 public:
  using value_type = std::remove_const_t<T>;

  /// The most axes that a view has.
  static constexpr std::size_t kMostAxes = 16;

  /// A number: no axes.
  template <class N>
    requires std::same_as<std::remove_const_t<N>, value_type> && std::convertible_to<N*, T*>
  View(N& number) : data_(&number) {}  // NOLINT: implicit, as the others are, so that arguments read as themselves
  template <std::same_as<value_type> N>
    requires std::is_const_v<T>
  View(N&& number) : data_(&number) {}  // NOLINT: valid until the end of the call that it is an argument of

  /// One axis.
  template <class R>
    requires ContiguousRangeOf<R, T>
  View(R&& range)  // NOLINT
      : View(std::ranges::data(range), {static_cast<std::int64_t>(std::ranges::size(range))}) {}

  /// All of an array.
  template <class A>
    requires std::same_as<std::remove_cvref_t<A>, Array<value_type>>
  View(A&& array)  // NOLINT
      : View(array.data(), array.shape()) {}

  /// The same, read only.
  template <std::same_as<View<value_type>> V>
    requires std::is_const_v<T>
  View(const V& other)  // NOLINT
      : View(other.data(), other.shape(), other.strides()) {}

  /// An array in C order, its last axis contiguous. Throws std::invalid_argument if a length is negative, or if there
  /// are more than kMostAxes.
  View(T* data, std::span<const std::int64_t> shape) : data_(data), ndim_(shape.size()) {
    take_shape(shape);
    std::int64_t stride = 1;
    for (std::size_t axis = ndim_; axis-- > 0; stride *= shape_[axis]) strides_[axis] = stride;
  }
  View(T* data, std::initializer_list<std::int64_t> shape) : View(data, std::span(shape.begin(), shape.size())) {}

  /// An array with strides, which are counted in elements and may be zero or negative.
  View(T* data, std::span<const std::int64_t> shape, std::span<const std::int64_t> strides)
      : data_(data), ndim_(shape.size()) {
    take_shape(shape);
    if (strides.size() != ndim_) {
      throw std::invalid_argument("View: there are " + std::to_string(strides.size()) + " strides but must be " +
                                  std::to_string(ndim_) + ", one for each axis");
    }
    std::ranges::copy(strides, strides_.begin());
    std::int64_t contiguous = 1;
    for (std::size_t axis = ndim_; axis-- > 0; contiguous *= shape_[axis]) {
      if (shape_[axis] != 1 && strides_[axis] != contiguous) is_contiguous_ = false;
    }
    if (size() == 0) is_contiguous_ = true;
  }
  View(T* data, std::initializer_list<std::int64_t> shape, std::initializer_list<std::int64_t> strides)
      : View(data, std::span(shape.begin(), shape.size()), std::span(strides.begin(), strides.size())) {}

  T* data() const { return data_; }
  std::size_t ndim() const { return ndim_; }
  std::span<const std::int64_t> shape() const { return {shape_.data(), ndim_}; }
  std::span<const std::int64_t> strides() const { return {strides_.data(), ndim_}; }
  /// Whether the elements are in C order without gaps.
  bool is_contiguous() const { return is_contiguous_; }
  /// The number of elements.
  std::int64_t size() const {
    std::int64_t size = 1;
    for (std::int64_t length : shape()) size *= length;
    return size;
  }

 private:
  void take_shape(std::span<const std::int64_t> shape) {
    if (ndim_ > kMostAxes) {
      throw std::invalid_argument("View: has " + std::to_string(ndim_) + " axes but must have at most " +
                                  std::to_string(kMostAxes));
    }
    for (std::int64_t length : shape) {
      if (length < 0)
        throw std::invalid_argument("View: a length is " + std::to_string(length) + " but must not be negative");
    }
    std::ranges::copy(shape, shape_.begin());
  }

  T* data_;
  std::size_t ndim_ = 0;
  bool is_contiguous_ = true;
  std::array<std::int64_t, kMostAxes> shape_{}, strides_{};
};

/// A result: an array in C order that owns its elements.
template <Precision T>
class Array {
 public:
  using value_type = T;

  /// An array whose elements are not set. Throws std::bad_alloc.
  explicit Array(std::span<const std::int64_t> shape)
      : shape_(shape.begin(), shape.end()), values_(std::make_unique_for_overwrite<T[]>(size())) {}
  explicit Array(std::initializer_list<std::int64_t> shape) : Array(std::span(shape.begin(), shape.size())) {}

  std::span<const std::int64_t> shape() const { return shape_; }
  /// The number of elements.
  std::size_t size() const {
    std::size_t size = 1;
    for (std::int64_t length : shape_) size *= static_cast<std::size_t>(length);
    return size;
  }
  T* data() { return values_.get(); }
  const T* data() const { return values_.get(); }
  /// All elements, in C order.
  std::span<T> values() { return {data(), size()}; }
  std::span<const T> values() const { return {data(), size()}; }

  /// The only element. Throws std::invalid_argument if there are more, or none.
  T item() const {
    if (size() != 1) {
      throw std::invalid_argument("item: the array has " + std::to_string(size()) + " elements but must have one");
    }
    return values_[0];
  }

  /// The element at one index for each axis, which are not checked.
  template <std::integral... I>
  T& operator()(I... indices) {
    return values_[offset(indices...)];
  }
  template <std::integral... I>
  const T& operator()(I... indices) const {
    return values_[offset(indices...)];
  }

 private:
  template <class... I>
  std::size_t offset(I... indices) const {
    std::size_t offset = 0, axis = 0;
    ((offset = offset * static_cast<std::size_t>(shape_[axis++]) + static_cast<std::size_t>(indices)), ...);
    return offset;
  }

  std::vector<std::int64_t> shape_;
  std::unique_ptr<T[]> values_;
};

}  // namespace matgrad
