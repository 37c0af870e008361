// How many CPUs this process may use at once.
#include "plan/cpu_count.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <limits>
#include <sstream>
#include <string>
#include <thread>

#ifdef __linux__
#include <sched.h>
#endif

namespace matgrad {
namespace {

constexpr int kUnlimited = std::numeric_limits<int>::max();

/// CPUs that the scheduler may put this process on.
int cpus_by_affinity() {
#ifdef __linux__
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t* set = CPU_ALLOC(cpus);
    if (set == nullptr) break;
    size_t bytes = CPU_ALLOC_SIZE(cpus);
    int count = sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0) return count;
  }
#endif
  return std::max(1, int(std::thread::hardware_concurrency()));
}

int cpus_of_quota(double quota, double period) {
  return quota > 0 && period > 0 ? std::max(1, int(std::ceil(quota / period))) : kUnlimited;
}

/// The quota of one cgroup directory: "cpu.max" holds "quota period" or "max period" (version 2), "cpu.cfs_quota_us" a
/// number or -1 (version 1).
int cpus_by_quota(const std::string& directory) {
  double quota = 0, period = 0;
  if (std::ifstream file(directory + "/cpu.max"); file) {
    file >> quota >> period;
    return cpus_of_quota(quota, period);
  }
  std::ifstream(directory + "/cpu.cfs_quota_us") >> quota;
  std::ifstream(directory + "/cpu.cfs_period_us") >> period;
  return cpus_of_quota(quota, period);
}

/// The least quota of the cgroups that this process is in, from its own up to the root.
int cpus_by_cgroups() {
  int cpus = kUnlimited;
  std::ifstream file("/proc/self/cgroup");
  for (std::string line; std::getline(file, line);) {  // "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1
    std::istringstream fields(line);
    std::string id, controllers, path;
    std::getline(fields, id, ':');
    std::getline(fields, controllers, ':');
    std::getline(fields, path);
    bool version1 = ("," + controllers + ",").find(",cpu,") != std::string::npos;
    if (!controllers.empty() && !version1) continue;
    std::string mount = version1 ? "/sys/fs/cgroup/cpu" : "/sys/fs/cgroup";
    for (; path.starts_with('/'); path.erase(path.rfind('/'))) cpus = std::min(cpus, cpus_by_quota(mount + path));
    cpus = std::min(cpus, cpus_by_quota(mount));
  }
  return cpus;
}

}  // namespace

int available_cpus() {
  return std::min(cpus_by_affinity(), cpus_by_cgroups());
}

}  // namespace matgrad
