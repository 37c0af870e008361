// Canonical names and order: a product's summed labels and factors, independent of how they were numbered and ordered.
#include <algorithm>
#include <array>
#include <bit>

#include "expr/product.h"

namespace matgrad::expr {
namespace {

uint64_t mix(uint64_t a, uint64_t b) {
  uint64_t z = (a ^ (b + 0x9e3779b97f4a7c15 + (a << 6) + (a >> 2))) * 0xbf58476d1ce4e5b9;
  return z ^ (z >> 29);
}

using Colors = std::array<uint64_t, 256>;

/// What distinguishes a factor, given the colors of labels.
uint64_t signature(const Factor& f, const Colors& colors) {
  uint64_t h = mix(mix(f.node->hash, std::bit_cast<uint64_t>(f.exponent)), uint64_t(f.guard));
  if (f.node->symmetric) {  // the order of the labels says nothing
    const auto [a, b] = std::minmax(colors[size_t(label_of(f.labels[0]))], colors[size_t(label_of(f.labels[1]))]);
    return mix(mix(h, a), b);
  }
  for (char label : f.labels) h = mix(h, colors[size_t(label_of(label))]);
  return h;
}

}  // namespace

/// Refines colors of labels by what they are attached to until they are as different as they get; where labels remain
/// alike, one of them is singled out. Source: B. D. McKay, Practical graph isomorphism, Congr. Numer. 30 (1981).
void make_canonical(std::vector<Factor>& factors, int ndim) {
  Colors colors{};
  auto color = [&](char label) -> uint64_t& { return colors[size_t(label_of(label))]; };
  Labels summed;
  for (const Factor& f : factors) {
    for (char label : f.labels) {
      if (label_of(label) < ndim) {
        color(label) = uint64_t(label_of(label)) + 1;
      } else if (summed.find(label) == Labels::npos) {
        summed += label;
        color(label) = 1000;
      }
    }
  }
  auto distinct = [&] {
    std::vector<uint64_t> values;
    for (char label : summed) values.push_back(color(label));
    std::ranges::sort(values);
    return size_t(std::ranges::unique(values).begin() - values.begin());
  };
  size_t known = summed.size() > 1 ? 0 : summed.size();
  for (size_t individual = 0; known < summed.size();) {
    Colors next{};
    for (const Factor& f : factors) {
      const uint64_t s = signature(f, colors);
      for (size_t axis = 0; axis < f.labels.size(); ++axis) {
        next[size_t(label_of(f.labels[axis]))] += mix(s, f.node->symmetric ? 0 : axis + 1);
      }
    }
    for (char label : summed) color(label) = mix(color(label), next[size_t(label_of(label))]);
    const size_t now = distinct();
    if (now > known) {
      known = now;
      continue;
    }
    // single out one of the labels that are alike
    uint64_t tied = 0;
    for (char label : summed) {
      const uint64_t own = color(label);
      const auto alike = std::ranges::count_if(summed, [&](char l) { return color(l) == own; });
      if (alike > 1 && own > tied) tied = own;
    }
    for (char label : summed) {
      if (color(label) != tied) continue;
      color(label) = mix(tied, 2000 + individual++);
      break;
    }
    known = distinct();
  }
  for (Factor& f : factors) {
    if (f.node->symmetric && color(f.labels[0]) > color(f.labels[1])) {
      std::swap(f.labels[0], f.labels[1]);
    }
  }
  std::vector<std::pair<uint64_t, size_t>> order;
  for (size_t k = 0; k < factors.size(); ++k) order.emplace_back(signature(factors[k], colors), k);
  std::ranges::sort(order);
  std::vector<Factor> sorted;
  for (const auto& [unused, k] : order) sorted.push_back(std::move(factors[k]));
  factors = std::move(sorted);
  Labels names;
  for (Factor& f : factors) {
    for (char& label : f.labels) {
      if (label_of(label) < ndim) continue;
      size_t name = names.find(label);
      if (name == Labels::npos) {
        name = names.size();
        names += label;
      }
      label = char(ndim + int(name));
    }
  }
  for (Factor& f : factors) {
    if (f.node->symmetric && label_of(f.labels[0]) > label_of(f.labels[1])) std::swap(f.labels[0], f.labels[1]);
  }
}

}  // namespace matgrad::expr
