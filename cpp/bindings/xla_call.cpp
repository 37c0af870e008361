// Compiled expressions as XLA calls them: without Python, by a number.
#include "bindings/xla_call.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <new>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>

#include "expr/build.h"

namespace matgrad::bindings {
namespace {

using plan::Shape;

expr::Definition definition(const expr::Definition& one, const std::vector<bool>& are_stacks) {
  const bool any = std::ranges::find(are_stacks, true) != are_stacks.end();
  return any ? expr::batched(one, are_stacks) : one;
}

/// A shape with its first axes joined to one.
Shape joined(const int64_t* dims, int64_t rank, int64_t stack_ndim) {
  if (rank < stack_ndim) throw std::invalid_argument("an argument lacks the axes of a stack");
  Shape shape{1};
  for (int64_t axis = 0; axis < stack_ndim; ++axis) shape[0] *= dims[axis];
  shape.insert(shape.end(), dims + stack_ndim, dims + rank);
  return shape;
}

/// The functions that can be called.
struct Registry {
  std::mutex mutex{};
  std::unordered_map<int64_t, std::weak_ptr<const XlaFunction>> functions{};
};

Registry& registry() {
  static auto* const known = new Registry;  // XLA's threads may outlive static objects
  return *known;
}

std::shared_ptr<const XlaFunction> find(int64_t number) {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  const auto found = known.functions.find(number);
  return found == known.functions.end() ? nullptr : found->second.lock();
}

std::atomic<int> minor_version = xla::kMinorVersion;

/// The attribute `function`.
int64_t number_of(const xla::Attributes& attributes) {
  for (int64_t k = 0; k < attributes.size; ++k) {
    const xla::ByteSpan& name = *attributes.names[k];
    if (std::string_view(name.data, name.size) != "function") continue;
    if (attributes.types[k] != xla::AttributeType::scalar) break;
    const auto& scalar = *static_cast<const xla::Scalar*>(attributes.values[k]);
    if (scalar.dtype == xla::DataType::s64) return *static_cast<const int64_t*>(scalar.value);
  }
  throw std::invalid_argument("the attribute function must be an int64");
}

xla::Error* error(const xla::CallFrame& frame, xla::ErrorCode code, const char* what) {
  const std::string message = std::string("matgrad: ") + what;
  xla::ErrorCreateArgs arguments{sizeof(xla::ErrorCreateArgs), nullptr, message.c_str(), code};
  return frame.api->create_error(&arguments);
}

/// Answers a call that asks what the handler was made for; whether it does.
bool told_metadata(const xla::CallFrame& frame) {
  const auto* extension = frame.extension_start;
  if (extension == nullptr || extension->type != xla::ExtensionType::metadata) return false;
  xla::Metadata& metadata = *reinterpret_cast<const xla::MetadataExtension*>(extension)->metadata;
  metadata.api_version = {sizeof(xla::ApiVersion), nullptr, xla::kMajorVersion, minor_version};
  metadata.traits = 0;
  return true;
}

}  // namespace

XlaFunction::XlaFunction(const expr::Definition& one, std::vector<bool> are_stacks, int stack_ndim)
    : are_stacks_(std::move(are_stacks)), stack_ndim_(stack_ndim), program_([&] {
        auto [results, symbols, checked] = definition(one, are_stacks_);
        return plan::Program(std::move(results), std::move(symbols), checked);
      }()) {}

std::shared_ptr<const plan::Plan> XlaFunction::plan(const std::vector<Shape>& shapes) const {
  std::vector<plan::Argument> arguments;
  for (const Shape& shape : shapes) arguments.push_back({shape, plan::contiguous_strides(shape), true});
  return program_.plan(arguments);
}

std::vector<Shape> XlaFunction::result_shapes(const std::vector<Shape>& shapes) const {
  std::vector<Shape> of_arguments;
  Shape stack;
  for (size_t k = 0; k < are_stacks_.size(); ++k) {
    const Shape& shape = shapes.at(k);
    of_arguments.push_back(are_stacks_[k] ? joined(shape.data(), int64_t(shape.size()), stack_ndim_) : shape);
    if (are_stacks_[k]) stack.assign(shape.begin(), shape.begin() + stack_ndim_);
  }
  std::vector<Shape> results = plan(of_arguments)->result_shapes;
  for (Shape& shape : results) {
    if (stack.empty()) continue;
    shape.erase(shape.begin());
    shape.insert(shape.begin(), stack.begin(), stack.end());
  }
  return results;
}

template <class T>
void XlaFunction::run(const xla::CallFrame& frame) const {
  constexpr auto kDtype = sizeof(T) == 4 ? xla::DataType::f32 : xla::DataType::f64;
  auto data = [](const xla::Buffer& buffer) {
    if (buffer.dtype != kDtype) throw std::invalid_argument("arrays must have the same dtype, float32 or float64");
    return static_cast<T*>(buffer.data);
  };
  std::vector<Shape> shapes;
  std::vector<const T*> inputs;
  for (int64_t k = 0; k < frame.arguments.size; ++k) {
    const xla::Buffer& buffer = *frame.arguments.buffers[k];
    inputs.push_back(data(buffer));
    shapes.push_back(are_stacks_[size_t(k)] ? joined(buffer.dims, buffer.rank, stack_ndim_)
                                            : Shape(buffer.dims, buffer.dims + buffer.rank));
  }
  auto plan = program_.last_plan();
  auto has_shape = [](const plan::Argument& known, const Shape& shape) { return known.shape == shape; };
  if (!plan || !std::ranges::equal(plan->arguments, shapes, has_shape)) plan = this->plan(shapes);
  std::vector<T*> results;
  for (int64_t k = 0; k < frame.results.size; ++k) {
    const xla::Buffer& buffer = *frame.results.buffers[k];
    results.push_back(data(buffer));
    const Shape shape(buffer.dims, buffer.dims + buffer.rank);
    if (plan::element_count(shape) != plan::element_count(plan->result_shapes[size_t(k)])) {
      throw std::invalid_argument("a result doesn't have the shape that the arguments give it");
    }
  }
  const auto is_mapped = std::make_unique<bool[]>(inputs.size());
  program_.run<T>(*plan, inputs.data(), results.data(), is_mapped.get());
}

void XlaFunction::run(const xla::CallFrame& frame) const {
  if (size_t(frame.arguments.size) != are_stacks_.size() || size_t(frame.results.size) != program_.results().size()) {
    throw std::invalid_argument("the function has another number of arguments or results");
  }
  if (frame.results.size == 0) return;
  if (frame.results.buffers[0]->dtype == xla::DataType::f32) return run<float>(frame);
  run<double>(frame);
}

XlaRegistration::XlaRegistration(int64_t number, std::shared_ptr<const XlaFunction> function) : number_(number) {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  auto& entry = known.functions[number];
  function_ = entry.lock();
  if (!function_) entry = function_ = std::move(function);
}

XlaRegistration::~XlaRegistration() {
  Registry& known = registry();
  const std::lock_guard lock(known.mutex);
  function_.reset();
  const auto entry = known.functions.find(number_);
  if (entry != known.functions.end() && entry->second.expired()) known.functions.erase(entry);
}

xla::Error* handle_xla_call(xla::CallFrame* frame) {
  if (told_metadata(*frame) || frame->stage != xla::Stage::execute) return nullptr;
  using enum xla::ErrorCode;
  try {
    const auto function = find(number_of(frame->attributes));
    if (!function) return error(*frame, not_found, "the function that is called doesn't exist any more");
    function->run(*frame);
    return nullptr;
  } catch (const plan::TooLarge& problem) {
    return error(*frame, resource_exhausted, problem.what());
  } catch (const std::bad_alloc&) {
    return error(*frame, resource_exhausted, "out of memory");
  } catch (const expr::ShapeError& problem) {
    return error(*frame, invalid_argument, problem.what());
  } catch (const std::invalid_argument& problem) {
    return error(*frame, invalid_argument, problem.what());
  } catch (const plan::LinalgError& problem) {
    return error(*frame, invalid_argument, problem.what());
  } catch (const std::exception& problem) {
    return error(*frame, internal, problem.what());
  }
}

void set_xla_minor_version(int version) {
  minor_version = version;
}

}  // namespace matgrad::bindings
