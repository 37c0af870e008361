// Picks, once, the kernels of the best instruction set that this machine has.
#pragma once

#include <span>
#include <type_traits>

#include "kernels/kernels.h"

namespace matgrad::kernels {

/// The kernels compiled in, narrowest registers first.
std::span<const Kernels* const> compiled();

/// Those that this machine can run, narrowest registers first.
std::span<const Kernels* const> available();

/// The kernels in use: the last of available(), or the one that the environment variable MATGRAD_ISA names.
/// Throws std::invalid_argument if it names one that is unknown or that this machine cannot run.
const Kernels& active();

/// The active kernels of one precision.
template <class T>
const Table<T>& table() {
  if constexpr (std::is_same_v<T, float>) {
    return active().f32;
  } else {
    return active().f64;
  }
}

}  // namespace matgrad::kernels
