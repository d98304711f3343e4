// Whether threads of this process have to wait for a processor, because more of them, or other programs, want to run
// than there are. A thread that waits for another one should then sleep: it may have the very processor that the
// other one needs.
#pragma once

namespace qarepvgg {

// To be called by a thread of a team whenever it is about to wait. Returns whether one of those threads had to wait for
// its processor lately. Where the system does not tell, nobody ever has to.
bool is_crowded();

}  // namespace qarepvgg
