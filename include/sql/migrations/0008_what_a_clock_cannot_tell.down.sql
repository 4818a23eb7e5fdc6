DROP TRIGGER an_edit_comes_in_time ON ledger.rejects;
DROP FUNCTION ledger.refuse_edit();
ALTER TABLE ledger.streams DROP COLUMN lease_from;
