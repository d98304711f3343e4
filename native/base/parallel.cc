#include "base/parallel.h"

#include "base/team.h"

namespace qarepvgg {

void run_together(int threads, const Work& work) { Team::instance().run(static_cast<std::size_t>(threads), work); }

int team_size() { return static_cast<int>(Team::instance().size()); }

}  // namespace qarepvgg
