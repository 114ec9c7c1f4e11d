vcl 4.1;

backend shop {
    .host = "127.209.129.11";
    .port = "3000";
    .connect_timeout = 1s;
    .first_byte_timeout = 4s;
    .between_bytes_timeout = 2s;
}

sub vcl_recv {
    if (req.url !~ "^/static/") {
        return (pass);
    }
}
