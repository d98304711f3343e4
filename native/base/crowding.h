// Whether threads of this process have to wait for a processor, because more threads want to run than there are
// processors. A thread that waits for another one should then sleep: it may occupy the processor that the other needs.
#pragma once

namespace qarepvgg {

// Every thread of a team calls this before it waits. Returns whether one of them had to wait for a processor recently;
// false on systems that do not say.
bool is_crowded();

}  // namespace qarepvgg
