require 'json'

# Rows of an export, read from a cursor while they are sent.
class Export
  def initialize(customer)
    @customer = customer
  end

  def each
    yield "order,total\n"
    60.times do |n|
      raise "cursor of customer #{@customer} is gone" if @customer % 4 == 0 && n == 35
      yield "#{n},#{rand(9000)}\n"
      sleep 0.004
    end
  end
end

run lambda { |env|
  path = env['PATH_INFO']
  if (export = path.match(%r{^/exports/(\d+)$}))
    next [200, { 'Content-Type' => 'text/csv' }, Export.new(export[1].to_i)]
  end
  sleep rand(0.003..0.03)
  status = env['REQUEST_METHOD'] == 'POST' ? 201 : 200
  body = JSON.generate(path: path, items: %w[lamp chair desk])
  [status, { 'Content-Type' => 'application/json', 'Content-Length' => body.bytesize.to_s }, [body]]
}
