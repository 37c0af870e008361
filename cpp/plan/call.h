// One call of a program, whatever its arguments are in the caller's terms: its plan, and memory for a few addresses.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "expr/build.h"
#include "plan/available_memory.h"
#include "plan/program.h"

namespace matgrad::plan {

/// Arguments and results whose addresses need no memory of their own.
constexpr size_t kFew = 8;

/// A number of values that is known at run time, usually few.
template <class T>
class Few {
 public:
  explicit Few(size_t count) : size_(count) {
    if (count > kFew) many_ = std::make_unique<T[]>(count);
  }
  T* data() { return size_ > kFew ? many_.get() : few_.data(); }
  T& operator[](size_t k) { return data()[k]; }
  size_t size() const { return size_; }

 private:
  size_t size_;
  std::array<T, kFew> few_{};
  std::unique_ptr<T[]> many_{};
};

/// The plan for arguments. Throws expr::ShapeError, its message beginning with what the function is called, or
/// OutOfMemory where they don't fit.
inline std::shared_ptr<const Plan> plan_for(const char* called, const Program& program,
                                            const std::vector<Argument>& arguments) {
  try {
    return program.plan(arguments);
  } catch (const expr::ShapeError& error) {
    throw expr::ShapeError(std::string(called) + ": " + error.what());
  } catch (const TooLarge& error) {
    require_memory(called, "an array", error.shape, 1, kAdviceOnMemory);
    throw;
  }
}

/// The plan for arguments of which is_same(k, known) tells whether argument k is as known, and described(k) what it is.
/// That of the last call is found without allocating anything.
template <class IsSame, class Described>
std::shared_ptr<const Plan> find_plan(const char* called, const Program& program, const IsSame& is_same,
                                      const Described& described) {
  const size_t count = program.symbols().size();
  auto last = program.last_plan();
  size_t same = 0;
  while (last && same < count && is_same(same, last->arguments[same])) ++same;
  if (last && same == count) return last;
  std::vector<Argument> wanted;
  for (size_t k = 0; k < count; ++k) wanted.push_back(described(k));
  return plan_for(called, program, wanted);
}

/// Throws OutOfMemory if the intermediate results of a plan can't fit in memory.
inline void require_memory_for(const char* called, const Plan& plan, int64_t item_size) {
  require_memory(called, "an intermediate result", plan.largest, item_size, kAdviceOnMemory);
  const int64_t arena[] = {plan.arena};
  require_memory(called, "all intermediate results together, an array", arena, item_size, kAdviceOnMemory);
}

}  // namespace matgrad::plan
