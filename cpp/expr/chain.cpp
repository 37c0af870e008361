// Makes matrix algebra: products, transposes pushed down to the factors, and what a product falls apart into.
#include "expr/chain.h"

#include <algorithm>
#include <set>
#include <utility>

namespace matgrad::expr {
namespace {

using Kind = Chain::Kind;

bool is_symmetric(const Chain& c) {
  if (c.kind == Kind::Identity || c.kind == Kind::Diag) return true;
  if (c.kind == Kind::Factor) return c.factor->node->symmetric;
  return c.kind == Kind::Hadamard && std::ranges::all_of(c.parts, is_symmetric);
}

}  // namespace

Chain make_chain(Chain::Kind kind, int ndim, std::vector<Chain> parts) {
  return {.kind = kind, .ndim = ndim, .parts = std::move(parts)};
}

Chain matrix_product(int ndim, const std::vector<Chain>& parts) {
  Chain result{.kind = Kind::Product, .ndim = ndim};
  for (const Chain& part : parts) {
    if (part.kind == Kind::Product) {
      result.parts.insert(result.parts.end(), part.parts.begin(), part.parts.end());
    } else {
      result.parts.push_back(part);
    }
  }
  return result;
}

Chain elementwise_product(std::vector<Chain> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Chain result{.kind = Kind::Hadamard, .ndim = parts[0].ndim};
  for (Chain& part : parts) {
    if (part.kind == Kind::Hadamard && !part.transposed) {
      result.parts.insert(result.parts.end(), part.parts.begin(), part.parts.end());
    } else {
      result.parts.push_back(std::move(part));
    }
  }
  return result;
}

Chain outer_product(const Chain& x, const Chain& y) {
  return matrix_product(2, {x, transposed(y)});
}

Chain transposed(const Chain& chain) {
  if (chain.ndim == 0) return chain;
  Chain result = chain;
  if (chain.kind == Kind::Product) {
    std::ranges::reverse(result.parts);
    for (Chain& part : result.parts) part = transposed(part);
  } else if (chain.kind == Kind::Hadamard && chain.ndim == 2) {
    for (Chain& part : result.parts) part = transposed(part);
  } else if (chain.ndim == 1 || !is_symmetric(chain)) {
    result.transposed = !chain.transposed;
  }
  return result;
}

std::vector<Component> components(const std::vector<const Factor*>& factors, int ndim) {
  std::vector<Component> found;
  for (const Factor* f : factors) {
    Component merged;
    auto is_connected = [&](const Component& c) {
      return std::ranges::any_of(c.factors, [&](const Factor* g) {
        return std::ranges::any_of(f->labels, [&](char label) {
          return int(uint8_t(label)) >= ndim && g->labels.find(label) != Labels::npos;
        });
      });
    };
    std::vector<Component> kept;
    for (Component& c : found) {
      if (is_connected(c)) {
        merged.factors.insert(merged.factors.end(), c.factors.begin(), c.factors.end());
      } else {
        kept.push_back(std::move(c));
      }
    }
    merged.factors.push_back(f);
    kept.push_back(std::move(merged));
    found = std::move(kept);
  }
  for (Component& c : found) {
    std::set<char> labels;
    for (const Factor* f : c.factors) {
      for (char label : f->labels) {
        if (int(uint8_t(label)) < ndim) labels.insert(label);
      }
    }
    c.labels.assign(labels.begin(), labels.end());
  }
  return found;
}

}  // namespace matgrad::expr
