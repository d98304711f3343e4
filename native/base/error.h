// The one exception type of the native code. It becomes a QARepVGGError at the N-API border (binding/guard.h).
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace qarepvgg {

namespace code {
inline constexpr const char* kInvalidArg = "ERR_INVALID_ARG";
inline constexpr const char* kShape = "ERR_SHAPE";
inline constexpr const char* kDtype = "ERR_DTYPE";
inline constexpr const char* kSizeOverflow = "ERR_SIZE_OVERFLOW";
inline constexpr const char* kBufferDetached = "ERR_BUFFER_DETACHED";
inline constexpr const char* kBufferSize = "ERR_BUFFER_SIZE";
inline constexpr const char* kModelIncompatible = "ERR_MODEL_INCOMPATIBLE";
inline constexpr const char* kNonFinite = "ERR_NON_FINITE";
inline constexpr const char* kQuantParam = "ERR_QUANT_PARAM";
inline constexpr const char* kOutOfMemory = "ERR_OUT_OF_MEMORY";
inline constexpr const char* kInvalidState = "ERR_INVALID_STATE";
inline constexpr const char* kBusy = "ERR_BUSY";
inline constexpr const char* kDisposed = "ERR_DISPOSED";
inline constexpr const char* kAborted = "ERR_ABORTED";
inline constexpr const char* kIsa = "ERR_ISA";
}  // namespace code

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const noexcept { return code_; }

 private:
  const char* code_;
};

// Throws an Error whose message is the concatenated parts.
template <class... Parts>
[[noreturn]] void fail(const char* code, const Parts&... parts) {
  std::ostringstream message;
  (message << ... << parts);
  throw Error(code, message.str());
}

}  // namespace qarepvgg
