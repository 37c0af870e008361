// Public functions: compiling expressions, and calls with views of arrays.
#include "matgrad/function.h"

#include <algorithm>
#include <functional>
#include <set>

#include "api/copy.h"
#include "api/expression.h"
#include "expr/with_lengths.h"
#include "matgrad/lapack.h"
#include "plan/call.h"

namespace matgrad {

namespace detail {

struct Program {
  Program(std::vector<expr::Expr> results, std::vector<expr::Expr> symbols, const std::vector<expr::Expr>& checked)
      : program(std::move(results), std::move(symbols), checked) {}
  plan::Program program;
};

}  // namespace detail

namespace {

constexpr const char* kFunction = "Function";

template <class T>
bool is_same(const View<const T>& argument, const plan::Argument& known) {
  return argument.is_contiguous() == known.is_contiguous && std::ranges::equal(argument.shape(), known.shape) &&
         (known.is_contiguous || std::ranges::equal(argument.strides(), known.strides));
}

template <class T>
plan::Argument described(const View<const T>& argument) {
  plan::Argument result{{argument.shape().begin(), argument.shape().end()}, {}, argument.is_contiguous()};
  result.strides = result.is_contiguous
                       ? plan::contiguous_strides(result.shape)
                       : std::vector<std::int64_t>(argument.strides().begin(), argument.strides().end());
  return result;
}

/// The first and one past the last address of an array; equal for one without elements.
template <class T>
std::pair<const T*, const T*> extent(const View<const T>& array) {
  const T *low = array.data(), *high = array.data();
  if (array.size() == 0) return {low, high};
  for (std::size_t axis = 0; axis < array.ndim(); ++axis) {
    const std::int64_t span = (array.shape()[axis] - 1) * array.strides()[axis];
    (span < 0 ? low : high) += span;
  }
  return {low, high + 1};
}

template <class T>
bool may_overlap(const View<const T>& a, const View<const T>& b) {
  const auto [a_low, a_high] = extent(a);
  const auto [b_low, b_high] = extent(b);
  return std::less<>()(a_low, b_high) && std::less<>()(b_low, a_high);
}

/// The plan for a call.
template <class T>
std::shared_ptr<const plan::Plan> plan_of(const plan::Program& program, std::span<const View<const T>> arguments) {
  if (arguments.size() != program.symbols().size()) {
    throw std::invalid_argument(std::string(kFunction) + ": takes " + std::to_string(program.symbols().size()) +
                                " arrays but got " + std::to_string(arguments.size()));
  }
  if (std::is_same_v<T, float> && program.contains_array<double>()) {
    throw std::invalid_argument(std::string(kFunction) +
                                ": the arguments are float but a constant array in the expression is double");
  }
  return detail::with_standard_errors([&] {
    const auto plan = plan::find_plan(
        kFunction, program, [&](std::size_t k, const plan::Argument& known) { return is_same(arguments[k], known); },
        [&](std::size_t k) { return described(arguments[k]); });
    plan::require_memory_for(kFunction, *plan, sizeof(T));
    return plan;
  });
}

template <class T>
void run(const plan::Program& program, const plan::Plan& plan, std::span<const View<const T>> arguments,
         T* const* results) {
  plan::Few<const T*> inputs(arguments.size());
  plan::Few<bool> is_mapped(arguments.size());
  for (std::size_t k = 0; k < arguments.size(); ++k) inputs[k] = arguments[k].data();
  try {
    program.run<T>(plan, inputs.data(), results, is_mapped.data());
  } catch (const plan::LinalgError& error) {
    throw std::domain_error(error.what());
  }
}

template <class T>
Array<T> new_array(const plan::Shape& shape) {
  plan::require_memory(kFunction, "the result", shape, sizeof(T), "");
  return Array<T>(shape);
}

template <class T>
std::vector<Array<T>> new_results(const plan::Program& program, std::span<const View<const T>> arguments) {
  const auto plan = plan_of(program, arguments);
  std::vector<Array<T>> results;
  plan::Few<T*> addresses(plan->result_shapes.size());
  results.reserve(addresses.size());
  for (const plan::Shape& shape : plan->result_shapes) {
    results.push_back(new_array<T>(shape));
    addresses[results.size() - 1] = results.back().data();
  }
  run(program, *plan, arguments, addresses.data());
  return results;
}

/// Throws unless results k of a call, of these shapes, can be written to.
template <class T>
void check_results(const plan::Plan& plan, std::span<const View<T>> results) {
  if (results.size() != plan.result_shapes.size()) {
    throw std::invalid_argument(std::string(kFunction) + ": out must be " + std::to_string(plan.result_shapes.size()) +
                                " arrays but there are " + std::to_string(results.size()));
  }
  for (std::size_t k = 0; k < results.size(); ++k) {
    if (!std::ranges::equal(results[k].shape(), plan.result_shapes[k])) {
      throw std::invalid_argument(std::string(kFunction) + ": out has shape " + plan::shape_text(results[k].shape()) +
                                  " but must be " + plan::shape_text(plan.result_shapes[k]));
    }
    for (std::size_t other = 0; other < k; ++other) {
      const bool are_contiguous = results[k].is_contiguous() && results[other].is_contiguous();
      if (are_contiguous && may_overlap<T>(results[k], results[other])) {
        throw std::invalid_argument(std::string(kFunction) + ": out has arrays that overlap each other");
      }
    }
  }
}

template <class T>
void write_results(const plan::Program& program, std::span<const View<const T>> arguments,
                   std::span<const View<T>> results) {
  const auto plan = plan_of(program, arguments);
  check_results(*plan, results);
  plan::Few<T*> addresses(results.size());
  std::vector<std::pair<std::size_t, Array<T>>> temporaries;
  for (std::size_t k = 0; k < results.size(); ++k) {
    addresses[k] = results[k].data();
    const bool overlaps = std::ranges::any_of(arguments, [&](const auto& x) { return may_overlap<T>(results[k], x); });
    if (plan->can_fail || !results[k].is_contiguous() || overlaps) {
      addresses[k] = temporaries.emplace_back(k, new_array<T>(plan->result_shapes[k])).second.data();
    }
  }
  run(program, *plan, arguments, addresses.data());
  for (const auto& [k, values] : temporaries) detail::copy_elements<T>(values, results[k]);
}

/// The symbols that stand for arguments.
std::vector<expr::Expr> arguments_of(const std::vector<Expr>& results, const std::vector<Expr>& symbols) {
  std::vector<expr::Expr> arguments, known;
  std::set<std::string> names, needed;
  for (const Expr& result : results) {
    known = detail::merged(std::move(known), result.expression().symbols);
    needed.merge(expr::symbol_names(result.expression().node));
  }
  for (const Expr& x : symbols) {
    if (x.name().empty()) {
      throw std::invalid_argument("compile: " + x.to_string() +
                                  " is not a symbol, and an argument stands for a symbol only");
    }
    if (!names.insert(x.name()).second) {
      throw std::invalid_argument("compile: the symbol " + x.name() + " is there twice");
    }
    if (std::ranges::find(known, x.name(), detail::name_of) == known.end()) {
      throw std::invalid_argument("compile: the expression has no symbol " + x.name());
    }
    known = detail::merged(std::move(known), x.expression().symbols);
    arguments.push_back(x.expression().node);
  }
  for (const std::string& name : needed) {
    if (!names.contains(name)) {
      throw std::invalid_argument("compile: the expression needs a value for its symbol " + name);
    }
  }
  return arguments;
}

/// What must have axes that agree beside the results themselves, as far as their symbols are arguments.
std::vector<expr::Expr> checked_of(const std::vector<Expr>& results, const std::vector<expr::Expr>& arguments) {
  std::vector<expr::Expr> checked;
  for (const Expr& result : results) {
    std::ranges::copy_if(result.expression().checked, std::back_inserter(checked), [&](const expr::Expr& node) {
      return std::ranges::all_of(expr::symbol_names(node), [&](const std::string& name) {
        return std::ranges::find(arguments, name, detail::name_of) != arguments.end();
      });
    });
  }
  return checked;
}

}  // namespace

std::vector<Array<double>> Function::evaluate(std::span<const View<const double>> arguments) const {
  return new_results(program_->program, arguments);
}

std::vector<Array<float>> Function::evaluate(std::span<const View<const float>> arguments) const {
  return new_results(program_->program, arguments);
}

void Function::evaluate(std::span<const View<const double>> arguments, std::span<const View<double>> results) const {
  write_results(program_->program, arguments, results);
}

void Function::evaluate(std::span<const View<const float>> arguments, std::span<const View<float>> results) const {
  write_results(program_->program, arguments, results);
}

std::vector<std::string> Function::arguments() const {
  std::vector<std::string> names;
  for (const expr::Expr& symbol : program_->program.symbols()) names.push_back(detail::name_of(symbol));
  return names;
}

std::size_t Function::size() const {
  return program_->program.results().size();
}

void Function::require_single() const {
  if (size() != 1) {
    throw std::invalid_argument(std::string(kFunction) + ": there are " + std::to_string(size()) +
                                " values; take them by values(…), or write them by evaluate(…)");
  }
}

Function compile(const Expr& result, const std::vector<Expr>& symbols) {
  return compile(std::vector{result}, symbols);
}

Function compile(const std::vector<Expr>& results, const std::vector<Expr>& symbols) {
  std::vector<expr::Expr> nodes, arguments = arguments_of(results, symbols);
  for (const Expr& result : results) nodes.push_back(result.expression().node);
  const auto checked = checked_of(results, arguments);
  auto program = std::make_shared<const detail::Program>(std::move(nodes), std::move(arguments), checked);
  if (program->program.needs_lapack() && !has_lapack()) {
    throw std::invalid_argument(
        "compile: the expression needs LAPACK; link the CMake target matgrad::lapack, or call matgrad::set_lapack");
  }
  return Function(std::move(program));
}

}  // namespace matgrad
