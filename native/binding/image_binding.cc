#include "binding/image_binding.h"

#include <memory>
#include <string>
#include <vector>

#include "base/checked.h"
#include "base/threads.h"
#include "binding/arguments.h"
#include "binding/async.h"
#include "binding/guard.h"
#include "binding/results.h"
#include "ops/image.h"

namespace qarepvgg::binding {
namespace {

// Largest offset. No side of an image comes near it.
constexpr double kMaxOffset = 1 << 24;

std::size_t side_of(const Napi::Object& object, const char* name) {
  const std::size_t side = size_of(object, name);
  if (side < 1 || side > (std::size_t{1} << 24))
    fail(code::kShape, "expected ", name, " from 1 to 2^24, received ", side);
  return side;
}

std::ptrdiff_t offset_of(const Napi::Object& object, const char* name) {
  const double offset = number_of(object, name);
  if (!(offset >= -kMaxOffset && offset <= kMaxOffset))
    fail(code::kShape, "expected ", name, " from -2^24 to 2^24, received ", offset);
  return static_cast<std::ptrdiff_t>(offset);
}

ResizeFilter filter_of(const Napi::Object& object) {
  const std::string name = string_of(object, "filter");
  if (name == "nearest") return ResizeFilter::kNearest;
  if (name == "bilinear") return ResizeFilter::kBilinear;
  if (name == "bicubic") return ResizeFilter::kBicubic;
  fail(code::kInvalidArg, "expected filter to be nearest, bilinear or bicubic, received '", name, "'");
}

enum class Layout { kBytes, kPlanes, kNumbers };

Layout layout_of(const Napi::Object& object) {
  const std::string name = string_of(object, "layout");
  if (name == "bytes") return Layout::kBytes;
  if (name == "planes") return Layout::kPlanes;
  if (name == "pixels") return Layout::kNumbers;
  fail(code::kInvalidArg, "expected layout to be bytes, planes or pixels, received '", name, "'");
}

class ImageRun final : public AsyncRun {
 public:
  ImageRun(const ImageTransform& transform, Layout layout, std::vector<float> table, std::vector<std::uint8_t> image)
      : transform_(transform), layout_(layout), table_(std::move(table)), image_(std::move(image)) {}

 private:
  void compute() override {
    const int threads = thread_budget().count;
    const std::size_t pixels = checked_mul(transform_.canvas.height, transform_.canvas.width);
    const std::size_t channels = transform_.channels;
    std::vector<std::byte> bytes(checked_mul(pixels, channels));
    auto* const canvas = reinterpret_cast<std::uint8_t*>(bytes.data());
    transform_image(threads, transform_, image_.data(), canvas);
    image_ = {};
    if (layout_ == Layout::kBytes) {
      result_ = std::move(bytes);
      return;
    }
    result_.resize(checked_mul(bytes.size(), sizeof(float)));
    auto* const floats = reinterpret_cast<float*>(result_.data());
    const auto convert = layout_ == Layout::kPlanes ? bytes_to_planes : bytes_to_numbers;
    convert(threads, canvas, pixels, channels, table_.data(), floats);
  }
  void settled(const Napi::Object&) override {}
  Napi::Value result(const Napi::Object& kept) override {
    return new_array(kept.Env(), layout_ == Layout::kBytes ? Dtype::kUint8 : Dtype::kFloat32,
                     {result_.data(), result_.size()});
  }

  ImageTransform transform_;
  Layout layout_;
  std::vector<float> table_;
  std::vector<std::uint8_t> image_;
  std::vector<std::byte> result_;
};

// Arguments: bytes, and a description of the transform. The bytes are copied; the promise resolves to a typed array.
Napi::Value transform(const Napi::CallbackInfo& info) {
  return guard(info.Env(), [&]() -> Napi::Value {
    const Napi::Object spec = object_of(info[1], "the transform");
    ImageTransform transform{};
    transform.from = {side_of(spec, "height"), side_of(spec, "width")};
    transform.scaled = {side_of(spec, "scaledHeight"), side_of(spec, "scaledWidth")};
    transform.canvas = {side_of(spec, "canvasHeight"), side_of(spec, "canvasWidth")};
    transform.channels = side_of(spec, "channels");
    transform.filter = filter_of(spec);
    transform.top = offset_of(spec, "top");
    transform.left = offset_of(spec, "left");
    const std::size_t fill = size_of(spec, "fill");
    if (fill > 255) fail(code::kInvalidArg, "expected fill from 0 to 255, received ", fill);
    transform.fill = static_cast<std::uint8_t>(fill);
    const Layout layout = layout_of(spec);
    const Napi::Value table = get(spec, "table");
    const std::size_t elements = checked_product({transform.from.height, transform.from.width, transform.channels});
    std::vector<float> numbers;
    if (layout != Layout::kBytes) numbers = copy_of<float>(table, "table", checked_mul(transform.channels, 256));
    return run_async(spec, std::make_shared<ImageRun>(transform, layout, std::move(numbers),
                                                      copy_of<std::uint8_t>(info[0], "image", elements)));
  });
}

}  // namespace

void define_image(Napi::Env env, Napi::Object exports) {
  exports.Set("transformImage", Napi::Function::New<transform>(env, "transformImage"));
}

}  // namespace qarepvgg::binding
