DROP TRIGGER what_becomes_of_a_file_is_counted ON ledger.files;
DROP TRIGGER a_file_that_comes_in_its_last_state_is_counted ON ledger.files;
DROP FUNCTION ledger.count_file();
DROP TABLE ledger.counts;
