-- Issue from these only. 只能用這裡的號碼開立發票。
CREATE VIEW IF NOT EXISTS in_use AS
SELECT json_extract(value, '$.ban') AS ban, json_extract(value, '$.invoice_type') AS invoice_type,
       json_extract(value, '$.year_month') AS year_month, json_extract(value, '$.invoice_track') AS track,
       json_extract(value, '$.invoice_begin_no') AS begin_no, json_extract(value, '$.invoice_end_no') AS end_no
FROM received, json_each(body, '$.data.allocations')
GROUP BY 1, 2, 3, 4, 5, 6
HAVING max(julianday(json_extract(value, '$.imported_at')))
     > max(ifnull(julianday(json_extract(value, '$.withdrawn_at')), 0));
