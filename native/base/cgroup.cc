#include "base/cgroup.h"

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string_view>
#include <vector>

namespace qarepvgg {
namespace {

// A tree of control groups that can limit CPU time.
struct Hierarchy {
  bool v2 = false;
  std::string mount;          // path of the mount
  std::string mounted = "/";  // the group that is mounted there
  std::string group;          // the group of this process
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

bool contains(const std::vector<std::string>& list, std::string_view item) {
  return std::find(list.begin(), list.end(), item) != list.end();
}

// "\040" and the like stand for spaces in mountinfo.
std::string unescape(const std::string& text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool octal = text[i] == '\\' && i + 3 < text.size();
    result += octal ? static_cast<char>(std::strtol(text.substr(i + 1, 3).c_str(), nullptr, 8)) : text[i];
    if (octal) i += 3;
  }
  return result;
}

// A line of mountinfo: "36 35 98:0 /root /mount options [fields...] - type source options".
void read_mount(const std::string& line, Hierarchy& v1, Hierarchy& v2) {
  const std::vector<std::string> fields = split(line, ' ');
  const auto dash = std::find(fields.begin(), fields.end(), "-");
  if (fields.size() < 6 || fields.end() - dash < 4) return;
  const bool is_v2 = dash[1] == "cgroup2", is_v1 = dash[1] == "cgroup" && contains(split(dash[3], ','), "cpu");
  if (!is_v1 && !is_v2) return;
  Hierarchy& hierarchy = is_v2 ? v2 : v1;
  if (!hierarchy.mount.empty()) return;
  hierarchy.mounted = unescape(fields[3]);
  hierarchy.mount = unescape(fields[4]);
}

// A line of /proc/self/cgroup: "4:cpu,cpuacct:/group" or, of version 2, "0::/group".
void read_group(const std::string& line, Hierarchy& v1, Hierarchy& v2) {
  const std::size_t first = line.find(':'), second = line.find(':', first + 1);
  if (second == std::string::npos) return;
  const std::string controllers = line.substr(first + 1, second - first - 1), group = line.substr(second + 1);
  if (controllers.empty()) v2.group = group;
  if (contains(split(controllers, ','), "cpu")) v1.group = group;
}

// The path of the process's group below the mount. Of a group outside of the mount, only the mounted group is visible;
// its quota applies, too.
std::string below_mount(const Hierarchy& hierarchy) {
  const std::string& group = hierarchy.group;
  const std::string mounted = hierarchy.mounted == "/" ? "" : hierarchy.mounted;
  const bool inside = group.compare(0, mounted.size(), mounted) == 0 &&
                      (group.size() == mounted.size() || group[mounted.size()] == '/');
  if (!inside || group.find("/..") != std::string::npos) return "";
  const std::string path = group.substr(mounted.size());
  return path == "/" ? "" : path;
}

// CPUs that the quota of one group grants; 0 if it has none.
double quota_of(const std::string& folder, bool v2) {
  double quota = -1, period = 0;
  if (v2) {
    std::string text;  // "max", or microseconds
    std::ifstream(folder + "/cpu.max") >> text >> period;
    quota = std::strtod(text.c_str(), nullptr);
  } else {
    std::ifstream(folder + "/cpu.cfs_quota_us") >> quota;
    std::ifstream(folder + "/cpu.cfs_period_us") >> period;
  }
  return quota > 0 && period > 0 ? quota / period : 0;
}

// The lowest quota of the group and of all groups that contain it.
double quota_within(const std::string& root, const Hierarchy& hierarchy) {
  double least = 0;
  std::string path = below_mount(hierarchy);
  for (;;) {
    const double quota = quota_of(root + hierarchy.mount + path, hierarchy.v2);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
    if (path.empty()) return least;
    path.resize(path.rfind('/'));
  }
}

}  // namespace

double cgroup_cpus(const std::string& root) {
  Hierarchy v1, v2;
  v2.v2 = true;
  std::string line;
  for (std::ifstream mounts(root + "/proc/self/mountinfo"); std::getline(mounts, line);) read_mount(line, v1, v2);
  for (std::ifstream groups(root + "/proc/self/cgroup"); std::getline(groups, line);) read_group(line, v1, v2);
  double least = 0;
  for (const Hierarchy& hierarchy : {v1, v2}) {
    if (hierarchy.mount.empty()) continue;
    const double quota = quota_within(root, hierarchy);
    if (quota > 0 && (least == 0 || quota < least)) least = quota;
  }
  return least;
}

}  // namespace qarepvgg
