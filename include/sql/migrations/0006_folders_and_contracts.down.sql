DROP TABLE ledger.contracts;
DROP INDEX ledger.files_waiting_for_contract, ledger.files_waiting, ledger.files_claimed_and_waiting;
ALTER TABLE ledger.files DROP COLUMN waits_for, DROP COLUMN waits_under;
CREATE INDEX files_waiting ON ledger.files (file_id) WHERE state = 'landed';
CREATE INDEX files_claimed_and_waiting ON ledger.files (claim) WHERE state = 'landed' AND claim IS NOT NULL;
DROP TABLE ledger.identity;
