// CPU quotas of Linux control groups.
#pragma once

#include <string>

namespace qarepvgg {

// CPUs that the quotas of this process's control group, and of the groups that contain it, grant; 0 if there are none.
// Reads versions 1 and 2. All paths are relative to `root`.
double cgroup_cpus(const std::string& root = "");

}  // namespace qarepvgg
