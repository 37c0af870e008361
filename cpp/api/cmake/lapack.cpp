// Takes LAPACK's functions from the library that the program is linked to, before main.
#include <matgrad/lapack.h>

#include <string_view>

extern "C" {
void sgetrf_();
void sgetrs_();
void sgetri_();
void spotrf_();
void spotrs_();
void ssyevd_();
void sgesdd_();
void sgeqrf_();
void sorgqr_();
void dgetrf_();
void dgetrs_();
void dgetri_();
void dpotrf_();
void dpotrs_();
void dsyevd_();
void dgesdd_();
void dgeqrf_();
void dorgqr_();
}

namespace {

struct Named {
  std::string_view name;
  matgrad::LapackFunction function;
};

constexpr Named kFunctions[] = {
    {"sgetrf", sgetrf_}, {"sgetrs", sgetrs_}, {"sgetri", sgetri_}, {"spotrf", spotrf_}, {"spotrs", spotrs_},
    {"ssyevd", ssyevd_}, {"sgesdd", sgesdd_}, {"sgeqrf", sgeqrf_}, {"sorgqr", sorgqr_}, {"dgetrf", dgetrf_},
    {"dgetrs", dgetrs_}, {"dgetri", dgetri_}, {"dpotrf", dpotrf_}, {"dpotrs", dpotrs_}, {"dsyevd", dsyevd_},
    {"dgesdd", dgesdd_}, {"dgeqrf", dgeqrf_}, {"dorgqr", dorgqr_},
};

matgrad::LapackFunction find(const char* name) {
  for (const Named& known : kFunctions) {
    if (known.name == name) return known.function;
  }
  return nullptr;
}

[[maybe_unused]] const bool is_taken = (matgrad::set_lapack(find), true);

}  // namespace
