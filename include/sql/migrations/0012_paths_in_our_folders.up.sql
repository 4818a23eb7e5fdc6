-- Who may write the ledger must not have the pipeline's user move or delete files elsewhere.
ALTER TABLE ledger.files ADD CONSTRAINT a_file_lies_in_one_of_our_folders
    CHECK (path = '' OR (path ~ '^(incoming|processing|archive)/' AND path !~ '/\.\.(/|$)'));
