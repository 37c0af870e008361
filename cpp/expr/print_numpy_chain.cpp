// NumPy source of matrix algebra: vectors have one axis, diagonal matrices scale rows or columns.
#include <algorithm>

#include "expr/build.h"
#include "expr/print_numpy.h"

namespace matgrad::expr {
namespace {

using Kind = Chain::Kind;

const Labels kVector{'\0'};
const Labels kMatrix{'\0', '\1'};

bool is_row(const Chain& c) {
  return c.ndim == 1 && c.transposed;
}
bool is_column(const Chain& c) {
  return c.ndim == 1 && !c.transposed;
}

Code atom(std::string text, const Labels& present) {
  return {.text = std::move(text), .present = present};
}

Code matmul(const Code& a, const Code& b, const Labels& present) {
  return {.text = bound(numeric(a), Code::Matmul) + " @ " + bound(numeric(b), Code::Power),
          .binding = Code::Matmul,
          .present = present};
}

Code times(const Code& a, const Code& b, const Labels& present) {
  return {.text = bound(numeric(a), a.binding == Code::Times ? Code::Times : Code::Power) + " * " +
                  bound(numeric(b), Code::Power),
          .binding = Code::Times,
          .present = present};
}

Code transposed_code(const Code& code) {
  return atom(bound(numeric(code), Code::Atom) + ".T", code.present);
}

}  // namespace

Code NumpySource::elementwise(const std::vector<Chain>& parts) {
  std::vector<Code> over, under;
  for (const Chain& part : parts) {
    const bool divides = part.kind == Kind::Factor && part.factor->exponent < 0 && !masks_.contains(part.factor);
    Code code = divides ? power(*part.factor) : chain(part);
    if (divides && part.ndim == 2 && part.transposed) code = transposed_code(code);
    (divides ? under : over).push_back(std::move(code));
  }
  if (over.empty()) return scaled(1, {}, under, {"1"});
  const Code last = over.back();
  over.pop_back();
  if (over.empty()) return scaled(1, {}, under, last);
  return scaled(1, over, under, last.binding == Code::Matmul ? atom("(" + last.text + ")", last.present) : last);
}

Code NumpySource::chain(const Chain& c) {
  const bool turn = c.ndim == 2 && c.transposed;
  Code code;
  switch (c.kind) {
    case Kind::Factor:
      code = operand(*c.factor);
      break;
    case Kind::Ones:
      return {"1"};
    case Kind::Identity:
      return atom(call("np.eye", {length(c.lengths[0])}).text, kMatrix);
    case Kind::Product:
      return product_chain(c);
    case Kind::Hadamard:
      code = elementwise(c.parts);
      break;
    case Kind::Kronecker:
      code = call("np.kron", {argument(numeric(chain(c.parts[0]))), argument(numeric(chain(c.parts[1])))});
      break;
    case Kind::Diag:
      return atom(call("np.diag", {argument(numeric(chain(c.parts[0])))}).text, kMatrix);
    case Kind::Diagonal:
    case Kind::Trace: {
      const Chain& m = c.parts[0];
      const bool trace = c.kind == Kind::Trace;
      const Labels present = trace ? Labels() : kVector;
      if (m.kind != Kind::Product)
        return atom(call(trace ? "np.trace" : "np.diagonal", {argument(chain(m))}).text, present);
      // tr(A B) = Σ A ⊙ Bᵀ = Σ Aᵀ ⊙ B
      Chain head = m.parts[0], rest = expr::matrix_product(2, {m.parts.begin() + 1, m.parts.end()});
      (trace && head.transposed ? head : rest) = transposed(trace && head.transposed ? head : rest);
      const Code first = chain(head), second = matrix_chain(rest.parts);
      std::vector<std::string> arguments{times(first, second, kMatrix).text};
      if (!trace) arguments.emplace_back("axis=1");
      return atom(call("np.sum", arguments).text, present);
    }
    case Kind::Total:
      return atom(call("np.sum", {argument(numeric(chain(c.parts[0])))}).text, {});
    case Kind::Vec:
      if (c.parts[0].kind == Kind::Factor && c.parts[0].transposed) {
        return atom(bound(operand(*c.parts[0].factor), Code::Atom) + ".ravel()", kVector);
      }
      return atom(bound(numeric(chain(c.parts[0])), Code::Atom) + ".ravel(order=\"F\")", kVector);
    case Kind::Reshape:
      code = atom(bound(chain(c.parts[0]), Code::Atom) + ".reshape" + shape(c.lengths), kMatrix);
      break;
    case Kind::Slice:
    case Kind::Entry: {
      const std::string index = c.kind == Kind::Slice ? slice_text(c.bounds) : std::to_string(*c.bounds.start);
      code = chain(c.parts[0]);
      code.text = bound(code, Code::Atom) + (c.axis == 0 ? "[" : "[:, ") + index + "]";
      code.binding = Code::Atom;
      break;
    }
  }
  code.present = labels_from(0, c.ndim);
  return turn ? transposed_code(code) : code;
}

/// A @ B, with diagonal matrices as factors of rows and columns.
Code NumpySource::matrix_chain(const std::vector<Chain>& parts) {
  if (parts.size() == 1) return chain(parts[0]);
  if (parts[0].kind == Kind::Diag) {
    const Code rest = matrix_chain({parts.begin() + 1, parts.end()});
    const Code scale = atom(bound(numeric(chain(parts[0].parts[0])), Code::Atom) + "[:, None]", kMatrix);
    return times(scale, rest, kMatrix);
  }
  Code code = chain(parts[0]);
  for (size_t k = 1; k < parts.size(); ++k) {
    const bool diagonal = parts[k].kind == Kind::Diag;
    const Code next = chain(diagonal ? parts[k].parts[0] : parts[k]);
    code = diagonal ? times(code, next, kMatrix) : matmul(code, next, kMatrix);
  }
  return code;
}

/// A @ (B @ x)
Code NumpySource::column_chain(const std::vector<Chain>& parts) {
  Code code = chain(parts.back());
  for (size_t k = parts.size() - 1; k-- > 0;) {
    if (parts[k].kind == Kind::Diag) {
      code = times(chain(parts[k].parts[0]), code, kVector);
    } else if (code.is_one()) {
      const bool turned = parts[k].transposed;
      const Code matrix = numeric(chain(turned ? transposed(parts[k]) : parts[k]));
      code = atom(call("np.sum", {argument(matrix), turned ? "axis=0" : "axis=1"}).text, kVector);
    } else {
      code = matmul(chain(parts[k]), code, kVector);
    }
  }
  return code;
}

/// x @ A @ B
Code NumpySource::row_chain(const std::vector<Chain>& parts) {
  Code code = chain(parts[0]);
  for (size_t k = 1; k < parts.size(); ++k) {
    if (parts[k].kind == Kind::Diag) {
      code = times(code, chain(parts[k].parts[0]), kVector);
    } else if (code.is_one()) {
      code = atom(call("np.sum", {argument(numeric(chain(parts[k]))), "axis=0"}).text, kVector);
    } else {
      code = matmul(code, chain(parts[k]), kVector);
    }
  }
  return code;
}

Code NumpySource::product_chain(const Chain& c) {
  const std::vector<Chain>& parts = c.parts;
  for (size_t k = 0; k + 1 < parts.size(); ++k) {
    if (!is_column(parts[k]) || !is_row(parts[k + 1])) continue;
    const Code x = column_chain({parts.begin(), parts.begin() + std::ptrdiff_t(k) + 1});
    const Code y = row_chain({parts.begin() + std::ptrdiff_t(k) + 1, parts.end()});
    if (x.is_one() && y.is_one()) return {"1"};
    if (x.is_one()) return placed(y, Labels{'\1'}, 2);
    if (y.is_one()) return placed(x, Labels{'\0'}, 2);
    return atom(call("np.outer", {argument(numeric(x)), argument(numeric(y))}).text, kMatrix);
  }
  if (is_row(parts[0]) && is_column(parts.back())) {
    const Code x = row_chain({parts.begin(), parts.end() - 1}), y = chain(parts.back());
    if (x.is_one()) return atom(call("np.sum", {argument(numeric(y))}).text, {});
    if (y.is_one()) return atom(call("np.sum", {argument(numeric(x))}).text, {});
    return matmul(x, y, {});
  }
  return is_column(parts.back()) ? column_chain(parts) : matrix_chain(parts);
}

}  // namespace matgrad::expr
