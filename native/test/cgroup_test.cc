// CPU quotas, in trees of files like those of Linux.
#include "base/cgroup.h"

#include <filesystem>
#include <fstream>
#include <map>
#include <random>
#include <string>

#include "test/harness.h"

namespace qarepvgg::test {
namespace {

namespace fs = std::filesystem;

using Files = std::map<std::string, std::string>;

// The quota that is read from these files, in thousandths of a CPU.
int quota_of(const Files& files) {
  const fs::path root = fs::temp_directory_path() / text_of("qarepvgg-cgroup-", std::random_device{}());
  fs::remove_all(root);
  for (const auto& [name, text] : files) {
    const fs::path path = root.string() + name;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  const double cpus = cgroup_cpus(root.string());
  fs::remove_all(root);
  return static_cast<int>(cpus * 1000 + 0.5);
}

const char* const kMountsV2 =
    "24 30 0:22 / /proc rw - proc proc rw\n30 1 0:27 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n";
const char* const kMountsV1 =
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n"
    "32 31 0:29 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
    "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct\n";

TEST(cgroup_without_quota) {
  CHECK_EQUAL(quota_of({}), 0, "no files");
  CHECK_EQUAL(quota_of({{"/proc/self/mountinfo", "\n- - -\n"}, {"/proc/self/cgroup", "x\n0:\n"}}), 0, "odd lines");
  CHECK_EQUAL(quota_of({{"/proc/self/mountinfo", kMountsV2},
                        {"/proc/self/cgroup", "0::/app\n"},
                        {"/sys/fs/cgroup/app/cpu.max", "max 100000\n"}}),
              0, "max");
  CHECK_EQUAL(quota_of({{"/proc/self/mountinfo", kMountsV1},
                        {"/proc/self/cgroup", "4:cpu,cpuacct:/app\n"},
                        {"/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_quota_us", "-1\n"},
                        {"/sys/fs/cgroup/cpu,cpuacct/app/cpu.cfs_period_us", "100000\n"}}),
              0, "-1");
}

// A container's own group looks like the root.
TEST(cgroup_at_the_root) {
  CHECK_EQUAL(quota_of({{"/proc/self/mountinfo", kMountsV2},
                        {"/proc/self/cgroup", "0::/\n"},
                        {"/sys/fs/cgroup/cpu.max", "150000 100000\n"}}),
              1500, "version 2");
  CHECK_EQUAL(quota_of({{"/proc/self/mountinfo", kMountsV1},
                        {"/proc/self/cgroup", "4:cpu,cpuacct:/\n0::/\n"},
                        {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"},
                        {"/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"}}),
              500, "version 1");
}

// systemd's CPUQuota, LXC: the quota is that of the process's group, or of a group that contains it.
TEST(cgroup_nested) {
  const Files v2 = {{"/proc/self/mountinfo", kMountsV2},
                    {"/proc/self/cgroup", "0::/system.slice/app.service\n"},
                    {"/sys/fs/cgroup/system.slice/other.service/cpu.max", "10000 100000\n"}};
  const auto with = [](Files files, const Files& more) {
    for (const auto& file : more) files.insert(file);
    return quota_of(files);
  };
  const std::string own = "/sys/fs/cgroup/system.slice/app.service/cpu.max",
                    slice = "/sys/fs/cgroup/system.slice/cpu.max";
  CHECK_EQUAL(with(v2, {}), 0, "of another group");
  CHECK_EQUAL(with(v2, {{own, "200000 100000"}}), 2000, "own");
  CHECK_EQUAL(with(v2, {{slice, "300000 100000"}}), 3000, "that of the slice");
  CHECK_EQUAL(with(v2, {{own, "200000 100000"}, {slice, "100000 100000"}}), 1000, "the lower one");
  CHECK_EQUAL(with(v2, {{own, "max 100000"}, {slice, "100000 100000"}}), 1000, "the one there is");

  const std::string v1 = "/sys/fs/cgroup/cpu,cpuacct/lxc/box";
  const Files files = {{"/proc/self/mountinfo", kMountsV1},
                       {"/proc/self/cgroup", "9:cpuset:/elsewhere\n4:cpu,cpuacct:/lxc/box/app\n0::/lxc\n"},
                       {v1 + "/cpu.cfs_quota_us", "250000\n"},
                       {v1 + "/cpu.cfs_period_us", "100000\n"}};
  CHECK_EQUAL(quota_of(files), 2500, "version 1");
}

// Without a namespace of its own, a container sees the path of the host, with its own group mounted.
TEST(cgroup_mounted_below_the_root) {
  const std::string mount = "33 31 0:30 /docker/abc /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";
  const Files quota = {{"/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "400000\n"},
                       {"/sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"},
                       {"/sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "100000\n"},
                       {"/sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000\n"}};
  for (const auto& [group, expected] : std::map<std::string, int>{
           {"/docker/abc", 4000}, {"/docker/abc/inner", 1000}, {"/docker/abcd", 4000}, {"/../x", 4000}}) {
    Files files = quota;
    files["/proc/self/mountinfo"] = mount;
    files["/proc/self/cgroup"] = "1:cpu:" + group + "\n";
    CHECK_EQUAL(quota_of(files), expected, group);
  }
}

// Both versions at once, and a mount whose name has a space.
TEST(cgroup_hybrid) {
  const std::string mounts = std::string(kMountsV1) + "41 31 0:38 / /sys/fs/cgroup\\040two rw - cgroup2 cgroup2 rw\n";
  Files files = {{"/proc/self/mountinfo", mounts},
                 {"/proc/self/cgroup", "4:cpu,cpuacct:/a:b\n0::/c\n"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a:b/cpu.cfs_quota_us", "300000"},
                 {"/sys/fs/cgroup/cpu,cpuacct/a:b/cpu.cfs_period_us", "100000"}};
  CHECK_EQUAL(quota_of(files), 3000, "version 1");
  files["/sys/fs/cgroup two/c/cpu.max"] = "200000 100000";
  CHECK_EQUAL(quota_of(files), 2000, "version 2");
}

}  // namespace
}  // namespace qarepvgg::test
