// Compiled expressions as XLA calls them: without Python, by a number.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "bindings/xla_ffi.h"
#include "expr/batch.h"
#include "plan/program.h"

namespace matgrad::bindings {

/// Expressions compiled for XLA: a function of arrays in C order of one precision, or of stacks of them.
class XlaFunction {
 public:
  /// The arguments that `are_stacks` says have `stack_ndim` axes in front, and if there are any, so have the results.
  XlaFunction(const expr::Definition& one, std::vector<bool> are_stacks, int stack_ndim);

  /// The shapes of the results for arguments of these shapes. Throws expr::ShapeError where they don't fit.
  std::vector<plan::Shape> result_shapes(const std::vector<plan::Shape>& shapes) const;

  /// Computes the results of a call. Throws std::invalid_argument where its arrays aren't what they must be.
  void run(const xla::CallFrame& frame) const;

 private:
  template <class T>
  void run(const xla::CallFrame& frame) const;
  /// The plan for arguments with the axes of their stacks joined to one.
  std::shared_ptr<const plan::Plan> plan(const std::vector<plan::Shape>& shapes) const;

  std::vector<bool> are_stacks_;
  int stack_ndim_;
  plan::Program program_;
};

/// An XLA function that can be called by its number while this lives. A number stands for the same function always.
class XlaRegistration {
 public:
  XlaRegistration(int64_t number, std::shared_ptr<const XlaFunction> function);
  ~XlaRegistration();
  XlaRegistration(const XlaRegistration&) = delete;
  XlaRegistration& operator=(const XlaRegistration&) = delete;

  int64_t number() const { return number_; }
  const XlaFunction& function() const { return *function_; }

 private:
  int64_t number_;
  std::shared_ptr<const XlaFunction> function_;
};

/// The handler of custom calls whose attribute `function` is the number of a function that is registered. Never takes
/// the GIL, never throws.
xla::Error* handle_xla_call(xla::CallFrame* frame);

/// The minor version of the interface that the handler says it was made for: older runtimes accept only their own.
void set_xla_minor_version(int version);

}  // namespace matgrad::bindings
