-- What is written often and is longer than a page likes is compressed each time. Where the server can do so it does it with LZ4,
-- which takes a fraction of the time, for reading too. Rows that there are stay as they are until they are written.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_settings WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        ALTER TABLE naru.applications
            ALTER COLUMN metadata SET COMPRESSION lz4,
            ALTER COLUMN spec SET COMPRESSION lz4,
            ALTER COLUMN operation SET COMPRESSION lz4,
            ALTER COLUMN status SET COMPRESSION lz4;
        ALTER TABLE naru.history ALTER COLUMN entry SET COMPRESSION lz4;
    END IF;
END
$$;

-- What is sealed looks like chance, and is not tried.
ALTER TABLE naru.manifest_sets ALTER COLUMN sealed SET STORAGE EXTERNAL;
