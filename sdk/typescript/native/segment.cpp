// A segment as memory of a Node process: what `fs` cannot do.
//
// `map(descriptor, bytes)` gives an `ArrayBuffer` over the first `bytes` bytes of the stage's output segment.
// The segment is sealed against shrinking before the stage gets it, so that no access can fail; the memory is
// unmapped when nobody refers to it any more. Refuses with an exception what the system refuses.
#include <node_api.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace {

void unmap(napi_env, void* memory, void* bytes) { munmap(memory, reinterpret_cast<std::uintptr_t>(bytes)); }

napi_value map(napi_env env, napi_callback_info info) {
  std::size_t count = 2;
  napi_value arguments[2];
  std::int32_t descriptor = -1;
  std::int64_t bytes = 0;
  if (napi_get_cb_info(env, info, &count, arguments, nullptr, nullptr) != napi_ok || count != 2 ||
      napi_get_value_int32(env, arguments[0], &descriptor) != napi_ok ||
      napi_get_value_int64(env, arguments[1], &bytes) != napi_ok || bytes <= 0) {
    napi_throw_type_error(env, nullptr, "map(descriptor, bytes) takes two positive numbers");
    return nullptr;
  }
  const auto length = static_cast<std::size_t>(bytes);
  void* memory = mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
  if (memory == MAP_FAILED) {
    napi_throw_error(env, nullptr, std::strerror(errno));
    return nullptr;
  }
  napi_value buffer;
  if (napi_create_external_arraybuffer(env, memory, length, unmap, reinterpret_cast<void*>(length),
                                       &buffer) != napi_ok) {
    munmap(memory, length);
    napi_throw_error(env, nullptr, "this runtime takes no memory from outside");
    return nullptr;
  }
  return buffer;
}

}  // namespace

NAPI_MODULE_INIT() {
  napi_value function;
  if (napi_create_function(env, "map", NAPI_AUTO_LENGTH, map, nullptr, &function) != napi_ok ||
      napi_set_named_property(env, exports, "map", function) != napi_ok) {
    return nullptr;
  }
  return exports;
}
