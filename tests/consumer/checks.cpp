// Uses every part of the API once, and prints what test_cpp_api.py compares with Python.
#include <dlfcn.h>
#include <matgrad/config.h>
#include <matgrad/function.h>
#include <matgrad/lapack.h>

#include <array>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

using namespace matgrad;

namespace {

const Expr A = matrix("A"), B = matrix("B"), x = vector("x"), y = vector("y"), t = scalar("t");
const Expr S = matrix("S", {}, {}, true), P = matrix("P", 4, 4), c = vector("c", 3);
const std::vector<double> a{1, 2, 3, 4, 5, 6, 7, 8, 10}, b{2, 0, 1, 1, 3, 0, 0, 1, 4}, u{0.5, -1, 2}, w{1, 0.25, -3};
const View<const double> a_(a.data(), {3, 3}), b_(b.data(), {3, 3});

template <class T>
void print(const char* name, const Array<T>& values) {
  std::printf("%s:", name);
  for (T value : values.values()) std::printf(" %.17g", double(value));
  std::printf("\n");
}

void print_formula(const char* name, const Expr& e) {
  std::printf("%s: %s\n", name, e.to_string().c_str());
}

/// What a call throws.
void print_error(const char* name, const std::function<void()>& call) {
  try {
    call();
    std::printf("%s: nothing\n", name);
  } catch (const std::exception& error) {
    std::printf("%s: %s\n", name, error.what());
  }
}

void print_values() {
  const Expr all[] = {
      einsum("ij,jk->ik", {A, B}),
      outer(x, y),
      kron(A, B),
      mean(A, 0),
      max(A, -1, true),
      min(A) + prod(x),
      logsumexp(A, {0, 1}),
      softmax(x),
      log_softmax(A, 1),
      trace(matmul(A, B)),
      diag(x) + diag(diag(A)),
      norm(A, 1),
      where(greater(x, y), exp(x), sigmoid(y)),
      maximum(x, 0) - minimum(x, y) / 2,
      reshape(A, {-1}),
      vec(A),
      broadcast_to(x, {x.length(0), x.length(0)}),
      transpose(A, {1, 0}) + A.T(),
      A[0] * A[{Slice{0, 3, 2}, -1}][0],
      eye(3) * A - 1,
      constant(b_) + constant(View<const double>(w)),
      pow(abs(x), t) + sqrt(square(y)) * tanh(x),
  };
  int number = 0;
  for (const Expr& e : all) {
    const std::string name = "value " + std::to_string(number++);
    const Function function = compile(e + 0 * (sum(A) + sum(B) + sum(x) + sum(y) + t), {A, B, x, y, t});
    print(name.c_str(), function(a_, b_, u, w, 1.5));
  }
}

void print_derivatives() {
  const Expr f = matmul(x, matmul(A, x));
  print_formula("gradient", f.diff(x));
  print_formula("numerator", f.diff(x, Layout::Numerator));
  print_formula("hessian", f.diff({x, x}, Layout::Denominator));
  print_formula("forward", f.diff(x, Layout::Tensor, Mode::Forward));
  print_formula("symmetric", matmul(x, matmul(S, x)).diff(x));
  print_formula("substituted", f.substitute({{x, matmul(B, y)}}));
  std::printf("numpy: %s\nindex: %s\n", f.diff(x).to_numpy().c_str(), f.diff(x).to_index().c_str());
  std::printf("equal: %d %d\n", f.diff(x).equals(matmul(A, x) + matmul(A.T(), x)), f.equals(x));
  print("matrix by matrix", compile(matmul(A, B).diff(A, Layout::Numerator), {A, B})(a_, b_));
  print("vector by matrix", compile(matmul(A, x).diff(A, Layout::Denominator), {A, x})(a_, u));
}

void print_calls() {
  const Function product = compile(matmul(A, x), {A, x});
  const View<const double> transposed(a.data(), {3, 3}, {1, 3}), reversed(u.data() + 2, {3}, {-1});
  print("strided", product(transposed, reversed));
  print("strided", product(transposed, reversed));
  const std::vector<float> a32(a.begin(), a.end()), u32(u.begin(), u.end());
  print("float", product(View<const float>(a32.data(), {3, 3}), u32));
  Array<double> spaced({6});
  product.evaluate({a_, u}, {View(spaced.data(), {3}, {2})});
  std::printf("spaced: %.17g %.17g %.17g\n", spaced(0), spaced(2), spaced(4));
  std::vector<double> overlapping = u;
  product.evaluate({a_, overlapping}, {overlapping});
  std::printf("overlapping: %.17g %.17g %.17g\n", overlapping[0], overlapping[1], overlapping[2]);
  print("empty", product(View<const double>(a.data(), {2, 0}), std::vector<double>()));
  const std::vector<Array<double>> both = compile({sum(x), 2 * x}, {x}).values(u);
  std::printf("several: %.17g %.17g\n", both[0].item(), both[1](2));
}

void print_errors() {
  const Function product = compile(matmul(A, x), {A, x});
  const std::vector<double> two{1, 2};
  std::vector<double> out(4);
  print_error("error shapes", [&] { product(a_, two); });
  print_error("error axes", [&] { product(u, u); });
  print_error("error count", [&] { product(a_); });
  print_error("error out", [&] { product.evaluate({a_, u}, {out}); });
  print_error("error outs",
              [&] { compile({x, 2 * x}, {x}).evaluate({two}, {View(out.data(), {2}), View(out.data(), {2})}); });
  print_error("error several", [&] { compile({x, 2 * x}, {x})(u); });
  print_error("error known", [&] { P + c; });
  print_error("error missing", [&] { compile(A, {x}); });
  print_error("error needed", [&] { compile(matmul(A, x), {A}); });
  print_error("error names", [&] { vector("x", 3) + x; });
  print_error("error name", [&] { vector("2x"); });
  print_error("error symbol", [&] { A.diff(2 * A); });
  print_error("error index", [&] { P[4]; });
  print_error("error axis", [&] { sum(A, 2); });
  print_error("error threads", [&] { set_num_threads(0); });
  print_error("error precision",
              [&] { compile(x * constant(View<const double>(u)), {x})(std::vector<float>{1, 2, 3}); });
  print_error("error memory", [&] {
    const double zero = 0;
    const View<const double> huge(&zero, {1 << 20, 1 << 20}, {0, 0});
    compile(2 * A, {A})(huge);
  });
}

/// Functions of the LAPACK in a shared library, whose names are there with "scipy_" before them.
void* library = nullptr;

LapackFunction find(const char* name) {
  return reinterpret_cast<LapackFunction>(dlsym(library, ("scipy_" + std::string(name) + "_").c_str()));
}

void print_lapack(const char* path) {
  print_error("error lapack", [] { compile(inv(A), {A}); });
  print_error("error lookup", [] { set_lapack([](const char*) -> LapackFunction { return nullptr; }); });
  library = dlopen(path, RTLD_NOW);
  if (library == nullptr) return;
  set_lapack(find);
  print("inverse", compile(inv(A), {A})(a_));
  print("logdet", compile(logdet(matmul(A.T(), A)).diff(A), {A})(a_));
  print("solve", compile(solve(A, x) * det(A), {A, x})(a_, u));
  const std::array<double, 4> singular{1, 2, 2, 4};
  print_error("error singular", [&] { compile(inv(A), {A})(View<const double>(singular.data(), {2, 2})); });
}

}  // namespace

int main(int, char** arguments) {
  set_num_threads(2);
  std::printf("config: %s %s %d %d\n", version().c_str(), active_isa().c_str(), get_num_threads(),
              available_isas().back() == active_isa());
  print_values();
  print_derivatives();
  print_calls();
  print_errors();
  print_lapack(arguments[1]);
}
