// CPU quotas of Linux control groups.
#pragma once

#include <string>

namespace qarepvgg {

// CPUs that the quotas of this process's control group and of those around it grant, versions 1 and 2; 0 when there are
// none. Files are looked up below `root`.
double cgroup_cpus(const std::string& root = "");

}  // namespace qarepvgg
