// What a plan computes and what it costs: a row for every kernel call.
#include "plan/describe.h"

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <map>

#include "expr/op.h"
#include "plan/threads.h"

namespace matgrad::plan {
namespace {

double iterations(const Nest& nest) {
  double count = 1;
  for (const Loop& loop : nest) count *= double(loop.length);
  return count;
}

/// The elements of operand k that loops go over.
double elements(std::initializer_list<const Nest*> nests, size_t k) {
  double count = 1;
  for (const Nest* nest : nests) {
    for (const Loop& loop : *nest) count *= loop.strides[k] == 0 ? 1 : double(loop.length);
  }
  return count;
}

double elements_of_all(std::initializer_list<const Nest*> nests, int operands) {
  double count = 0;
  for (int k = 0; k < operands; ++k) count += elements(nests, size_t(k));
  return count;
}

/// What it takes to multiply something by a number.
double scaling(double number) {
  return number == 1 || number == -1 ? 0 : 1;
}

/// What each kind of step costs.
struct CostOf {
  Cost operator()(const Elementwise& step) const {
    double flops = 1;
    switch (step.op) {
      case RowOp::Fill:
      case RowOp::Select:
        flops = 0;
        break;
      case RowOp::Scale:
        flops = scaling(step.a);
        break;
      case RowOp::Combine:
        flops = 1 + scaling(step.a) + scaling(step.b);
        break;
      case RowOp::Multiply:
        flops = 1 + scaling(step.a);
        break;
      case RowOp::Map:
        flops = step.kernel == kNoKernel ? double(kFlopsOfValue) : 1;
        break;
      default:
        break;
    }
    return {flops * iterations(step.nest), elements_of_all({&step.nest}, step.operands)};
  }
  Cost operator()(const SumOfProducts& step) const {
    const double sums = iterations(step.kept);
    return {sums * (iterations(step.summed) * (step.operands - 1) + scaling(step.scale)),
            elements_of_all({&step.kept, &step.summed}, step.operands)};
  }
  Cost operator()(const MatrixProduct& step) const {
    const double m = double(step.rows), n = double(step.columns), k = double(step.k);
    const double sizes[] = {m * n, m * k, k * n, step.shift == 0 ? 0 : m * n, k};
    double count = 0;
    for (size_t operand = 0; operand < size_t(step.operands); ++operand) {
      count += sizes[operand] * elements({&step.batch, &step.summed}, operand);
    }
    const double terms = k * iterations(step.summed), entries = step.symmetric ? n * (n + 1) / 2 : m * n;
    const double scaled = step.operands == 5 ? n * terms : 0, added = step.shift == 0 ? 0 : 1 + scaling(step.shift);
    return {iterations(step.batch) * (entries * (2 * terms + scaling(step.scale) + added) + scaled), count};
  }
  Cost operator()(const Mirror& step) const {
    return {0, iterations(step.batch) * double(step.n) * double(step.n - 1)};
  }
  Cost operator()(const SymmetricProduct& step) const {
    const double n = double(step.n);
    return {iterations(step.batch) * n * (4 * n + scaling(step.scale)),
            n * elements({&step.batch}, 0) + n * n * elements({&step.batch}, 1) + n * elements({&step.batch}, 2)};
  }
  Cost operator()(const SymmetricSum& step) const {
    const double n = double(step.n);
    return {iterations(step.batch) * n * n * (1 + scaling(step.scale)), n * n * elements_of_all({&step.batch}, 2)};
  }
  Cost operator()(const Scatter& step) const {
    Cost cost{0, double(step.size)};
    for (const Scatter::Core& core : step.cores) {
      cost.flops += iterations(core.nest) * scaling(core.scale);
      cost.elements += elements({&core.nest}, 1);
    }
    return cost;
  }
  Cost operator()(const RowReduction& step) const {
    const double all = iterations(step.kept) * iterations(step.reduced);
    return {step.reduction == expr::Reduction::LogSumExp ? 2 * all : all,
            elements({&step.kept}, 0) + elements({&step.kept, &step.reduced}, 1)};
  }
  Cost operator()(const Selection& step) const {
    return {step.adds ? iterations(step.nest) : 0, elements_of_all({&step.nest}, step.operands)};
  }
  Cost operator()(const CumulativeSum& step) const {
    const double rows = iterations(step.rows), x = rows * double(step.x_length);
    return {x, x + rows * double(step.result_length)};
  }
  Cost operator()(const Ordering& step) const {
    const double all = iterations(step.rows) * double(step.length);
    const bool sorts = step.order == expr::Reduction::ArgSort;
    return {sorts ? all * std::log2(double(step.length) + 1) : all, sorts ? 2 * all : all};
  }
  Cost operator()(const Softmax& step) const {
    const double all = iterations(step.rows) * double(step.length);
    return {3 * all, 2 * all};
  }
  Cost operator()(const Factorize& step) const {
    const double n = double(step.n), count = double(step.count);
    return {count * n * n * n * 2 / 3, 2 * count * n * n};
  }
  Cost operator()(const Determinant& step) const {
    const double n = double(step.n), count = double(step.count);
    return {count * n, count * (n + 1)};
  }
  Cost operator()(const Solve& step) const {
    const double n = double(step.n), count = double(step.count), columns = double(step.columns);
    return {count * 2 * n * n * columns, count * (n * n + 2 * n * columns)};
  }
  Cost operator()(const Invert& step) const {
    const double n = double(step.n), count = double(step.count);
    return {count * n * n * n * 4 / 3, 2 * count * n * n};
  }
  Cost operator()(const Decompose& step) const {
    // Per product of the two lengths and the lesser one. Source: G. Golub and C. Van Loan, Matrix Computations.
    static constexpr double kFlops[] = {1.0 / 3, 9, 22, 4, 30};
    static constexpr double kFlopsOfValues[] = {0, 4.0 / 3, 4, 0, 0};
    const double m = double(step.rows), n = double(step.columns), k = double(step.values());
    const double flops = (step.vectors ? kFlops : kFlopsOfValues)[size_t(step.kind)];
    return {double(step.count) * m * n * k * flops, double(step.count) * m * n * step.operands};
  }
  Cost operator()(const Pass& pass) const {
    Cost sum;
    const double tiles = double(pass.length) / double(pass.tile);
    for (const TiledStep& tiled : pass.body) {
      const Cost of_tile = cost(tiled.step);
      sum.flops += tiles * of_tile.flops;
      sum.elements += tiles * of_tile.elements;
    }
    return sum;
  }
};

std::string joined(std::initializer_list<int64_t> lengths) {
  std::string text;
  for (int64_t length : lengths) text.append(text.empty() ? "" : "×").append(std::to_string(length));
  return text;
}

std::string joined(const Nest& nest) {
  std::string text;
  for (const Loop& loop : nest) text.append(text.empty() ? "" : "×").append(std::to_string(loop.length));
  return text.empty() ? "1" : text;
}

std::string stack(const std::string& count, const std::string& sizes) {
  return count == "1" ? sizes : count + " of " + sizes;
}

/// What each kind of step is called, and its sizes.
struct NameOf {
  using Name = std::pair<std::string, std::string>;

  Name operator()(const Elementwise& step) const {
    static constexpr const char* kNames[] = {"fill", "scale", "combine", "multiply", "divide", "power", "select"};
    const char* name = step.op == RowOp::Map                    ? step.function->name
                       : step.op == RowOp::Scale && step.a == 1 ? "copy"
                                                                : kNames[size_t(step.op)];
    return {name, joined(step.nest)};
  }
  Name operator()(const SumOfProducts& step) const {
    const std::string sums = joined(step.kept), terms = joined(step.summed);
    if (step.operands == 2) return {"sum", stack(sums, terms)};
    return {"dot", stack(sums, terms)};
  }
  Name operator()(const MatrixProduct& step) const {
    return {step.symmetric ? "syrk" : "gemm",
            stack(joined(step.batch), (step.summed.empty() ? "" : joined(step.summed) + " sums of ") +
                                          joined({step.rows, step.columns, step.k}))};
  }
  Name operator()(const Mirror& step) const { return {"mirror", stack(joined(step.batch), joined({step.n, step.n}))}; }
  Name operator()(const SymmetricProduct& step) const {
    return {"symmetric product", stack(joined(step.batch), joined({step.n, step.n}))};
  }
  Name operator()(const SymmetricSum& step) const {
    return {"add transpose", stack(joined(step.batch), joined({step.n, step.n}))};
  }
  Name operator()(const Scatter& step) const {
    std::string sizes;
    for (const Scatter::Core& core : step.cores) sizes.append(sizes.empty() ? "" : " + ").append(joined(core.nest));
    return {"scatter", sizes + " in " + std::to_string(step.size)};
  }
  Name operator()(const RowReduction& step) const {
    static constexpr const char* kNames[] = {"max", "min", "prod", "logsumexp"};
    return {kNames[size_t(step.reduction)], stack(joined(step.kept), joined(step.reduced))};
  }
  Name operator()(const Selection& step) const { return {step.adds ? "scatter-add" : "gather", joined(step.nest)}; }
  Name operator()(const CumulativeSum& step) const {
    return {"cumulative sum", stack(joined(step.rows), joined({step.x_length}))};
  }
  Name operator()(const Ordering& step) const {
    static constexpr const char* kNames[] = {"argmax", "argmin", "argsort"};
    const auto which = size_t(step.order) - size_t(expr::Reduction::ArgMax);
    return {kNames[which], stack(joined(step.rows), joined({step.length}))};
  }
  Name operator()(const Softmax& step) const { return {"softmax", stack(joined(step.rows), joined({step.length}))}; }
  Name operator()(const Factorize& step) const { return {"factorize", matrices(step.count, step.n, step.n)}; }
  Name operator()(const Determinant& step) const { return {"determinant", matrices(step.count, step.n, step.n)}; }
  Name operator()(const Solve& step) const { return {"solve", matrices(step.count, step.n, step.columns)}; }
  Name operator()(const Invert& step) const { return {"invert", matrices(step.count, step.n, step.n)}; }
  Name operator()(const Decompose& step) const {
    static constexpr const char* kNames[] = {"cholesky", "eigh", "svd", "qr", "expm"};
    return {kNames[size_t(step.kind)], matrices(step.count, step.rows, step.columns)};
  }
  Name operator()(const Pass&) const { return {}; }  // its steps have rows of their own
  static std::string matrices(int64_t count, int64_t rows, int64_t columns) {
    return stack(std::to_string(count), joined({rows, columns}));
  }
};

/// What buffers are called.
class BufferNames {
 public:
  BufferNames(const Plan& plan, const std::vector<std::string>& inputs) : plan_(plan), inputs_(inputs) {}

  std::string of(const Place& place) {
    const Buffers& buffers = plan_.buffers;
    const int k = place.buffer;
    if (k < buffers.inputs) return inputs_[size_t(k)];
    if (k < buffers.array(0)) return buffers.results == 1 ? "result" : "result " + std::to_string(k - buffers.inputs);
    if (k < buffers.numbers()) return "constant";
    if (k == buffers.numbers()) return "number";
    if (k == buffers.partial()) return "sum";
    const auto [known, is_new] = numbers_.insert({{k, place.offset}, numbers_.size() + 1});
    return std::string("t").append(std::to_string(known->second));
  }

  /// "x, y → z": the first place is the result; place `unread` isn't an operand.
  std::string of_operands(const Place* places, int count, int unread) {
    std::string text;
    for (int k = 1; k < count; ++k) {
      if (k != unread) text.append(k == 1 ? "" : ", ").append(of(places[k]));
    }
    return text + (text.empty() ? "→ " : " → ") + of(places[0]);
  }

 private:
  const Plan& plan_;
  const std::vector<std::string>& inputs_;
  std::map<std::pair<int, int64_t>, size_t> numbers_{};
};

/// Adds the rows of a step that runs so many times, or of the steps that it is made of.
void add_rows(std::vector<Row>& rows, const Step& step, double times, const std::string& where, BufferNames& buffers) {
  if (const auto* pass = std::get_if<Pass>(&step)) {
    const double tiles = double(pass->length) / double(pass->tile);
    std::string inside =
        where + (where.empty() ? "" : ", ") + "tiles of " + joined({pass->tile}) + " of " + joined({pass->length});
    if (pass->chunks() > 1) inside += " in " + joined({pass->chunks()}) + " chunks";
    for (const TiledStep& tiled : pass->body) add_rows(rows, tiled.step, times * tiles, inside, buffers);
    return;
  }
  Row& row = rows.emplace_back();
  std::tie(row.kernel, row.sizes) = std::visit(NameOf{}, step);
  const auto* product = std::get_if<MatrixProduct>(&step);
  const int unread = product && product->shift == 0 ? 3 : 0;
  row.operands = std::visit(
      [&](const auto& known) { return buffers.of_operands(known.places.data(), known.operands, unread); }, step);
  row.where = where;
  row.cost = cost(step);
  row.cost.flops *= times;
  row.cost.elements *= times;
}

}  // namespace

Cost cost(const Step& step) {
  return std::visit(CostOf{}, step);
}

std::vector<Row> describe(const Plan& plan, const std::vector<std::string>& names) {
  BufferNames buffers(plan, names);
  std::vector<Row> rows;
  for (const Step& step : plan.steps) add_rows(rows, step, 1, "", buffers);
  return rows;
}

double memory(const Plan& plan) {
  double tile = 0;
  for (const Step& step : plan.steps) {
    const auto* pass = std::get_if<Pass>(&step);
    if (pass)
      tile =
          std::max(tile, double(pass->tile_memory) * double(std::min<int64_t>(pass->chunks(), threads::num_threads())));
  }
  return double(plan.arena) + double(plan.numbers.size()) + tile;
}

}  // namespace matgrad::plan
