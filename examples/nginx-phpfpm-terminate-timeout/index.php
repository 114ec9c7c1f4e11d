<?php
$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
header('Content-Type: application/json');

if (preg_match('#^/reports/(\d+)$#', $path, $m)) {
    usleep(random_int(0, 3) ? random_int(300000, 900000) : 8000000);
    echo json_encode(['report' => (int) $m[1], 'rows' => 1200]);
    exit;
}
usleep(random_int(3000, 25000));
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    http_response_code(201);
}
echo json_encode(['path' => $path, 'items' => ['lamp', 'chair', 'desk']]);
