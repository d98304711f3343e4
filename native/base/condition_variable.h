// std::condition_variable in the version of GCC 11's C++ library.
#pragma once

#include <condition_variable>

#if defined(__GLIBC__) && defined(__GLIBCXX__) && !defined(QAREPVGG_STATIC_LIBSTDCXX)
// The library of GCC 12 has a second version of this function, which differs only for cancelled threads. This selects
// the first one, which the library of GCC 11 has, too: Amazon Linux 2023 and Red Hat Enterprise Linux 9 have that
// library.
__asm__(
    ".symver _ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE,"
    "_ZNSt18condition_variable4waitERSt11unique_lockISt5mutexE@GLIBCXX_3.4.11");
#endif
