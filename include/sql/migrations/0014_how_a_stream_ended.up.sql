-- How a stream ended, for programs; ended_because says it to people. What earlier releases wrote is read once, here.
ALTER TABLE ledger.streams ADD COLUMN ended_how text;

UPDATE ledger.streams
SET ended_how = CASE
        WHEN state = 'fenced' THEN 'fenced'
        WHEN ended_because = 'a stop was requested' THEN 'asked'
        WHEN ended_because = 'everything that had landed is loaded' THEN 'drained'
        WHEN ended_because = 'its submitter died' THEN 'submitter_died'
        WHEN ended_because = 'it was told to (SIGTERM)' THEN 'signal'
        WHEN ended_because = 'its set life is over' THEN 'life_over'
        WHEN ended_because LIKE 'the environment is wrong: %' THEN 'environment'
        WHEN ended_because = 'Spark''s JVM died' THEN 'spark_died'
        WHEN ended_because LIKE 'it failed%' OR ended_because = 'its driver was killed or failed' THEN 'failed'
        WHEN ended_because = 'the database was restored' THEN 'restored'
        ELSE 'unknown'
    END
WHERE ended_at IS NOT NULL;

ALTER TABLE ledger.streams
    ADD CONSTRAINT a_stream_ends_in_a_known_way CHECK (
        ended_how IN (
            'asked', 'drained', 'submitter_died', 'signal', 'life_over', 'fenced', 'environment', 'spark_died', 'failed',
            'restored', 'unknown'
        )
    ),
    ADD CONSTRAINT an_ended_stream_says_how CHECK ((ended_at IS NULL) = (ended_how IS NULL));
