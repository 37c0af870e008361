// The table of functions of matrices: the shape of the value, what a transpose does, and the printed form of each.
#include "expr/linalg_op.h"

#include <algorithm>
#include <iterator>
#include <stdexcept>

namespace matgrad::expr {
namespace {

using enum LinalgRule::Turned;

/// In the order of LinalgOp. What is written as a superscript is printed by the printers.
constexpr LinalgRule kRules[] = {
    {"inv", "nn", true, Transposed, true, "", "", "np.linalg.inv({0,})"},
    {"det", "", true, Same, false, "det({0,})", "\\det({0,})", "np.linalg.det({0,})"},
    // NaN where the determinant is negative
    {"logdet", "", true, Same, false, "log det({0,})", "\\log\\det({0,})",
     "np.where(np.linalg.slogdet({0,})[0] >= 0, np.linalg.slogdet({0,})[1], np.nan)"},
    {"logabsdet", "", true, Same, false, "log|det({0,})|", "\\log\\lvert\\det({0,})\\rvert",
     "np.linalg.slogdet({0,})[1]"},
    {"signdet", "", true, Same, false, "sign(det({0,}))", "\\operatorname{sign}(\\det({0,}))",
     "np.linalg.slogdet({0,})[0]"},
    {"cholesky", "nn", true, Same, false, "chol({0,})", "\\operatorname{chol}({0,})", "np.linalg.cholesky({0,})"},
    {"eigenvalues", "n", true, Same, false, "λ({0,})", "\\lambda({0,})", "np.linalg.eigvalsh({0,})"},
    {"eigenvectors", "nn", true, Same, false, "eigvecs({0,})", "\\operatorname{eigvecs}({0,})",
     "np.linalg.eigh({0,})[1]"},
    {"singular_values", "k", false, Same, false, "svdvals({0,})", "\\operatorname{svdvals}({0,})",
     "np.linalg.svd({0,}, compute_uv=False)"},
    {"left_vectors", "mk", false, Other, false, "svd_U({0,})", "\\operatorname{svd}_U({0,})",
     "np.linalg.svd({0,}, full_matrices=False)[0]"},
    {"right_vectors", "nk", false, Other, false, "svd_V({0,})", "\\operatorname{svd}_V({0,})",
     "np.linalg.svd({0,}, full_matrices=False)[2].mT"},
    {"pinv", "nm", false, Transposed, true, "pinv({0,})", "\\operatorname{pinv}({0,})", "np.linalg.pinv({0,})"},
    {"orthogonal_factor", "mk", false, Other, false, "qr_Q({0,})", "\\operatorname{qr}_Q({0,})",
     "np.linalg.qr({0,})[0]"},
    {"triangular_factor", "kn", false, Other, false, "qr_R({0,})", "\\operatorname{qr}_R({0,})",
     "np.linalg.qr({0,})[1]"},
    {"expm", "nn", true, Transposed, true, "expm({0,})", "\\operatorname{expm}({0,})", "scipy.linalg.expm({0,})"},
};
static_assert(std::size(kRules) == size_t(LinalgOp::Exp) + 1);

}  // namespace

const LinalgRule& rule(LinalgOp op) {
  return kRules[size_t(op)];
}

LinalgOp linalg_op(std::string_view name) {
  const auto* row = std::ranges::find(kRules, name, &LinalgRule::name);
  if (row == std::end(kRules)) throw std::invalid_argument("no function of matrices is called " + std::string(name));
  return LinalgOp(row - kRules);
}

}  // namespace matgrad::expr
