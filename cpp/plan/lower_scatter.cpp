// Products with identities between axes of the result: their cores are scattered over a result that is zero elsewhere.
#include <algorithm>

#include "kernels/kernels.h"
#include "plan/lower.h"

namespace matgrad::plan {

namespace {

/// The loops over a core, if their order is that of its places in the result.
std::optional<Nest> scatter_nest(const Lengths& lengths, const Operand& to, const Operand& core) {
  const Nest nest = make_nest(lengths, by_descending_stride(to, to.labels()), {&to, &core});
  int64_t inner = 0;
  for (size_t k = nest.size(); k-- > 0;) {
    if (nest[k].strides[0] <= inner) return std::nullopt;
    inner += (nest[k].length - 1) * nest[k].strides[0];
  }
  if (nest.size() > size_t(kernels::kMostScatterLoops)) return std::nullopt;
  return nest;
}

}  // namespace

bool Lowering::can_scatter(const View& target, const Lengths& lengths, const Operand& to, bool add) const {
  if (target.place.offset != 0 || target.strides != contiguous_strides(target.shape)) return false;
  if (!scatter_nest(lengths, to, to)) return false;
  return !add || find_scatter(target) != plan_.steps.end();
}

std::vector<Step>::const_iterator Lowering::find_scatter(const View& target) const {
  const auto& steps = plan_.steps;
  for (auto step = steps.end(); step != steps.begin();) {
    --step;
    const bool writes = std::visit([&](const auto& s) { return s.places[0].buffer == target.place.buffer; }, *step);
    if (!writes) continue;
    const auto* scatter = std::get_if<Scatter>(&*step);
    return scatter && scatter->operands < kMaxOperands ? step : steps.end();
  }
  return steps.end();
}

void Lowering::emit_scatter(const View& target, const Lengths& lengths, double scale, Operand core, const Operand& to,
                            bool add) {
  Nest nest = *scatter_nest(lengths, to, core);
  if (!nest.empty() && nest.back().strides[0] == 1 && nest.back().strides[1] != 1) {
    core = copied(lengths, core, by_descending_stride(to, to.labels()));
    nest = *scatter_nest(lengths, to, core);
  }
  Scatter step{.size = element_count(target.shape), .places = {target.place}};
  if (add) {  // what is between the two computes cores
    const auto known = find_scatter(target);
    step = std::get<Scatter>(*known);
    plan_.steps.erase(known);
  }
  step.places[size_t(step.operands++)] = core.place;
  step.cores.push_back({scale, to.place.offset, std::move(nest)});
  emit(std::move(step));
}

}  // namespace matgrad::plan
