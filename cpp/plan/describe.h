// What a plan computes and what it costs: a row for every kernel call.
#pragma once

#include <string>
#include <vector>

#include "plan/step.h"

namespace matgrad::plan {

/// What a step costs: floating-point operations, of which an elementwise function is one, and elements that it reads
/// and writes, each counted once.
struct Cost {
  double flops = 0, elements = 0;
};

Cost cost(const Step& step);

/// A step in words.
struct Row {
  std::string kernel;    ///< such as "gemm"
  std::string sizes;     ///< such as "1000×800×16"
  std::string operands;  ///< such as "U, V → t1"
  std::string where;     ///< the loop over tiles that it is part of; empty outside of those
  Cost cost{};
};

/// The steps of a plan, of which the inputs have these names. Intermediate results are called t1, t2, … by where they
/// are: one that takes the place of another has its name.
std::vector<Row> describe(const Plan& plan, const std::vector<std::string>& names);

/// Elements of memory that a call takes beside its results.
double memory(const Plan& plan);

}  // namespace matgrad::plan
