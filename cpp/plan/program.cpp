// Programs: expressions compiled for arguments of any shapes.
#include "plan/program.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include "expr/special.h"
#include "plan/describe.h"
#include "plan/lower.h"
#include "plan/pages.h"
#include "plan/run.h"
#include "plan/scratch.h"

namespace matgrad::plan {

using namespace expr;

namespace {

/// The most plans that a program keeps.
constexpr size_t kMostPlans = 32;
/// Bytes of intermediate results up to which memory is kept for the next call.
constexpr int64_t kMostKept = int64_t(1) << 28;

void require_argument(const Expr& symbol, const std::vector<Expr>& arguments) {
  if (std::ranges::find(arguments, symbol) == arguments.end()) {
    throw std::invalid_argument(symbol->as<Symbol>()->name + " is part of the expression but is no argument");
  }
}

}  // namespace

Program::Program(std::vector<Expr> results, std::vector<Expr> symbols, const std::vector<Expr>& checked)
    : results_(std::move(results)), symbols_(std::move(symbols)), nodes_(topological_order(results_)) {
  std::vector<Expr> roots = results_;
  roots.insert(roots.end(), checked.begin(), checked.end());
  checked_ = topological_order(roots);
  for (const Expr& node : checked_) {
    if (node->as<Symbol>()) require_argument(node, symbols_);
  }
  for (const Expr& symbol : symbols_) {
    if (!symbol->as<Symbol>()) throw std::invalid_argument("an argument of a function must be a symbol");
    bool is_index = false, is_value = std::ranges::find(results_, symbol) != results_.end();
    for (const Expr& node : nodes_) {
      for_each_operand(*node, [&](const Expr& operand) {
        if (operand == symbol) (node->as<Gather>() ? is_index : is_value) = true;
      });
    }
    is_index_.push_back(is_index && !is_value);
  }
  for (const Expr& node : nodes_) {
    needs_lapack_ |= node->as<Linalg>() != nullptr;
    const auto* array = node->as<Array>();
    if (array == nullptr) continue;
    arrays_.push_back(node);
    Constant& constant = constants_.emplace_back();
    if (auto* f32 = std::get_if<std::vector<float>>(&array->values)) {
      constant.f32 = f32->data();
      constant.widened.assign(f32->begin(), f32->end());
      constant.f64 = constant.widened.data();
    } else {
      const auto& f64 = std::get<std::vector<double>>(array->values);
      constant.f64 = f64.data();
      constant.rounded.assign(f64.begin(), f64.end());
      constant.f32 = constant.rounded.data();
    }
  }
}

template <class T>
bool Program::contains_array() const {
  return std::ranges::any_of(
      arrays_, [](const Expr& node) { return std::holds_alternative<std::vector<T>>(node->as<Array>()->values); });
}

template bool Program::contains_array<float>() const;
template bool Program::contains_array<double>() const;

bool Program::needs_special_functions() const {
  return std::ranges::any_of(nodes_, [](const Expr& node) {
    const auto* map = node->as<Map>();
    return map != nullptr && !has_value(*map->op);
  });
}

std::shared_ptr<const Plan> Program::last_plan() const {
  std::lock_guard lock(mutex_);
  return plans_.empty() ? nullptr : plans_.back();
}

std::shared_ptr<const Plan> Program::plan(const std::vector<Argument>& arguments) const {
  {
    std::lock_guard lock(mutex_);
    const auto known = std::ranges::find_if(plans_, [&](const auto& plan) { return plan->arguments == arguments; });
    if (known != plans_.end()) {
      std::rotate(known, known + 1, plans_.end());
      return plans_.back();
    }
  }
  auto plan = std::make_shared<const Plan>(make_plan(arguments));
  std::lock_guard lock(mutex_);
  if (plans_.size() == kMostPlans) plans_.erase(plans_.begin());
  return plans_.emplace_back(std::move(plan));
}

Plan Program::make_plan(const std::vector<Argument>& arguments) const {
  std::vector<Shape> shapes;
  for (const Argument& argument : arguments) shapes.push_back(argument.shape);
  const LengthTable lengths(symbols_, shapes);
  for (const Expr& node : checked_) lengths.check(node);
  Lowering lowering(lengths, {int(symbols_.size()), int(results_.size()), int(arrays_.size())});
  const Buffers buffers{int(symbols_.size()), int(results_.size()), int(arrays_.size())};
  for (size_t k = 0; k < symbols_.size(); ++k) {
    const bool is_used = std::ranges::find(nodes_, symbols_[k]) != nodes_.end();
    if (is_used) lowering.place(symbols_[k], int(k), arguments[k].strides);
  }
  for (size_t k = 0; k < arrays_.size(); ++k)
    lowering.place(arrays_[k], buffers.array(int(k)), contiguous_strides(lengths.shape(arrays_[k])));
  lowering.prepare(nodes_, results_);
  for (const Expr& node : nodes_) lowering.lower(node);
  Plan plan = lowering.finish(results_);
  plan.arguments = arguments;
  constexpr double kFlopsPerElement = 8;
  for (const Step& step : plan.steps) plan.work += cost(step).elements + cost(step).flops / kFlopsPerElement;
  return plan;
}

template <class T>
void Program::run(const Plan& plan, const T* const* inputs, T* const* results, const bool* is_mapped) const {
  const Buffers& buffers = plan.buffers;
  const size_t count = size_t(buffers.count());
  std::array<T*, kFewBuffers> few;
  std::vector<T*> many(count > kFewBuffers ? count : 0);
  T** memory = many.empty() ? few.data() : many.data();
  for (int k = 0; k < buffers.inputs; ++k) memory[k] = const_cast<T*>(inputs[k]);
  for (int k = 0; k < buffers.results; ++k) memory[buffers.result(k)] = results[k];
  for (int k = 0; k < buffers.arrays; ++k) {
    if constexpr (sizeof(T) == 4) {
      memory[buffers.array(k)] = const_cast<T*>(constants_[size_t(k)].f32);
    } else {
      memory[buffers.array(k)] = const_cast<T*>(constants_[size_t(k)].f64);
    }
  }
  static thread_local Scratch kept;
  Scratch dropped;
  const int64_t numbers = (int64_t(plan.numbers.size()) + 15) / 16 * 16;
  const bool is_kept = (numbers + plan.arena) * int64_t(sizeof(T)) <= kMostKept;
  T* arena = (is_kept ? kept : dropped).get<T>(size_t(numbers + plan.arena));
  std::copy(plan.numbers.begin(), plan.numbers.end(), arena);
  memory[buffers.numbers()] = arena;
  memory[buffers.arena()] = arena + numbers;
  for (const Step& step : plan.steps) {
    std::visit(
        [&](const auto& known) {
          if constexpr (std::is_same_v<std::decay_t<decltype(known)>, Pass>) {
            plan::run<T>(known, Memory<T>{buffers, memory, is_mapped, plan.arguments});
          } else {
            Pointers<T> at;
            for (size_t k = 0; k < kMaxOperands; ++k) at[k] = memory[known.places[k].buffer] + known.places[k].offset;
            plan::run<T>(known, at);
          }
          for (size_t k = 1; k < size_t(known.operands); ++k) {
            const int input = known.places[k].buffer;
            if (input < buffers.inputs && is_mapped[input]) {
              const auto [low, high] =
                  extent(plan.arguments[size_t(input)].shape, plan.arguments[size_t(input)].strides);
              release_pages(inputs[input] + low, size_t(high - low) * sizeof(T));
            }
          }
        },
        step);
  }
}

template void Program::run(const Plan&, const float* const*, float* const*, const bool*) const;
template void Program::run(const Plan&, const double* const*, double* const*, const bool*) const;

}  // namespace matgrad::plan
