-- DuckDB. What a contract's transformLogic may use besides DuckDB's own functions.

-- A uuid of version 5 (RFC 9562), as 32 hex digits, of a name in Sluice's own namespace.
CREATE OR REPLACE MACRO uuid5_hex(named) AS (
    list_transform(
        [sha1(unhex('6f1d3c5a7b2e5f0e9a4c8d1b2f3e4a5c') || encode(named))],
        lambda h: substr(h, 1, 12) || '5' || substr(h, 14, 3)
            || substr('89ab', (('0x' || substr(h, 17, 1))::INTEGER % 4) + 1, 1) || substr(h, 18, 15)
    )[1]
);

-- The id of a record that has none: the same bytes and the same record give the same id, whenever they land.
CREATE OR REPLACE MACRO record_id(file_sha256, record_number) AS
    uuid5_hex(file_sha256 || ':' || record_number::VARCHAR);

-- The id of a row whose feed has ids of its own that are no uuids.
CREATE OR REPLACE MACRO feed_id(feed, own_id) AS uuid5_hex(feed || ':' || own_id);

-- The moment at which the file landed, as the ledger has it: the judge says it before each block.
CREATE OR REPLACE MACRO landed_at() AS make_timestamptz(getvariable('sluice_landed_at')::BIGINT);
