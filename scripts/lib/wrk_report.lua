-- Makes wrk end with one line of JSON. Times are in microseconds.
function done(summary, latency)
    local e = summary.errors
    io.write(string.format(
        '\n{"requests":%d,"p50":%d,"p99":%d,"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}\n',
        summary.requests, latency:percentile(50), latency:percentile(99),
        e.connect, e.read, e.write, e.status, e.timeout))
end
