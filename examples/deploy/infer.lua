-- Load for qarepvgg serve: requests with the bytes of one image, or of what else the model's only input is.
--
--   head -c 3136 /dev/zero > image.bin
--   wrk -t1 -c64 -d10s --latency -s infer.lua http://127.0.0.1:8080/v2/models/fashion-mnist/infer -- image.bin
function init(args)
  local file = assert(io.open(args[1], 'rb'))
  wrk.body = file:read('*a')
  wrk.method = 'POST'
  wrk.headers['Inference-Header-Content-Length'] = '0'
end
